"""What part of a layer's output one program of a kernel makes."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Tile:
    """All but `warps` and `stages` are powers of two."""

    rows: int  # of pixels; 1 where a kernel takes pixels as they lie in memory
    columns: int  # of pixels
    channels: int  # of the output
    inner: int = 16  # channels of the input at a time, where a kernel sums over them in a loop
    warps: int = 4
    stages: int = 2  # loads of a loop that are under way at once
    pairs: bool = False  # two rows of a depthwise convolution at once: what both read is read once

    @property
    def pixels(self) -> int:
        return self.rows * self.columns


def power_of_two(number: int, least: int = 16) -> int:
    """The next power of two, at least what a matrix product takes."""
    return max(least, 1 << (number - 1).bit_length())


def blocks(number: int, size: int) -> int:
    """How many blocks of a size cover so many."""
    return -(-number // size)


def pointwise_tile(before: int, after: int, scale: int) -> Tile:
    """`scale`: how many pixels of the context's view are one of the map, along a side. Small maps
    have smaller tiles, so that there are enough for all of a GPU's processors.
    """
    pixels = 128 if scale <= 8 else 64 if scale == 16 else 32
    channels = min(power_of_two(after), 64)
    inner = min(power_of_two(before), 64)
    return Tile(1, pixels, channels, inner, stages=3 if before > inner else 1)


def lateral_tile(before: int, after: int, scale: int) -> Tile:
    """As `pointwise_tile`; what is resized while it is added takes registers."""
    tile = pointwise_tile(before, after, scale)
    return replace(tile, columns=min(tile.columns, 64))


def depthwise_tile(scale: int, stride: int) -> Tile:
    """`scale` is that of the output. Pairs of rows only overlap enough with a stride of 1."""
    if stride == 1:
        rows = 2 if scale <= 16 else 1
        return Tile(rows, 16, channels=32, warps=2, pairs=True)
    rows, columns = (8, 8) if scale <= 8 else (4, 8) if scale == 16 else (4, 4)
    return Tile(rows, columns, channels=32, warps=4 if rows == 8 else 2)


def in_one_kernel(scale: int, before: int) -> bool:
    """Whether a block's three convolutions are one kernel, by the scale of its output and the
    channels that it widens: where a map is large, writing and reading those widened costs most;
    where it is small, too few programs would go through all of the channels.

    The depthwise and the last alone are never one: for 16 images of 1024x576 on an H200 that took
    162 us in place of 33 + 15 in the first block and 190 in place of 41 + 25 in the third. The
    three in one too feed a matrix product by the result of another, which `dense` avoids; they were
    right on that GPU, and `choose_kernels` compares answers before it takes any.
    """
    return scale <= 4 and before <= 16


def expand_depthwise_project_tile(after: int) -> Tile:
    return Tile(8, 8, power_of_two(after), inner=32, stages=1)


def dense_tile(before: int, after: int) -> Tile:
    return Tile(8, 16, power_of_two(after), power_of_two(before), stages=1)

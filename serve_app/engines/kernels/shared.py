"""What several kernels do: activations, positions of pixels, bilinear resizing."""

import triton
import triton.language as tl

NONE, RELU, RELU6 = 0, 1, 2  # kinds of activation


@triton.jit
def activated(x, KIND: tl.constexpr):
    if KIND > 0:
        x = tl.maximum(x, 0.0)
    if KIND == 2:
        x = tl.minimum(x, 6.0)
    return x


@triton.jit
def tile_position(index, height, width, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """The image of the tile with an index, and the row and column of each of its pixels."""
    across = tl.cdiv(width, COLUMNS)
    of_image = across * tl.cdiv(height, ROWS)
    image = index // of_image
    tile = index % of_image
    pixel = tl.arange(0, ROWS * COLUMNS)
    row = tile // across * ROWS + pixel // COLUMNS
    column = tile % across * COLUMNS + pixel % COLUMNS
    return image, row, column


@triton.jit
def between(position, size, coarse_size):
    """The two positions of a coarser map around one, and the share of the second."""
    source = tl.maximum((position + 0.5) * (coarse_size / size) - 0.5, 0.0)
    first = tl.minimum(source.to(tl.int32), coarse_size - 1)
    return first, tl.minimum(first + 1, coarse_size - 1), source - first


@triton.jit
def resized(coarse, row, column, height, width, coarse_height, coarse_width, channels, count, mask):
    """A coarser map's channels, bilinearly at pixels of a finer one: FP32 [pixels, channels].

    `coarse` points to the pixels' image, for all or for each of them.
    """
    top, bottom, down = between(row, height, coarse_height)
    left, right, over = between(column, width, coarse_width)
    line = channels[None, :]
    a = tl.load(coarse + ((top * coarse_width + left) * count)[:, None] + line, mask, 0.0)
    b = tl.load(coarse + ((top * coarse_width + right) * count)[:, None] + line, mask, 0.0)
    c = tl.load(coarse + ((bottom * coarse_width + left) * count)[:, None] + line, mask, 0.0)
    d = tl.load(coarse + ((bottom * coarse_width + right) * count)[:, None] + line, mask, 0.0)
    over = over[:, None]
    upper = a.to(tl.float32) * (1 - over) + b.to(tl.float32) * over
    lower = c.to(tl.float32) * (1 - over) + d.to(tl.float32) * over
    return upper * (1 - down[:, None]) + lower * down[:, None]

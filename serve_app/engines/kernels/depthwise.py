"""Depthwise convolutions with ReLU6."""

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from serve_app.engines.kernels.shared import activated, tile_position
from serve_app.engines.kernels.tiles import Tile, blocks


@dataclass(frozen=True, eq=False)
class Depthwise:
    """out = ReLU6(depthwise(x) + bias)."""

    weight: Tensor  # float16 [kernel * kernel, channels]
    bias: Tensor  # float32 [channels]
    kernel: int
    stride: int
    tile: Tile

    def __call__(self, x: Tensor) -> Tensor:
        """float16 [N, H, W, C] -> float16 [N, H / stride, W / stride, C]."""
        images, height, width, channels = x.shape
        out_height, out_width = blocks(height, self.stride), blocks(width, self.stride)
        out = torch.empty(images, out_height, out_width, channels, dtype=x.dtype, device=x.device)
        tile = self.tile
        rows = tile.rows * 2 if tile.pairs else tile.rows
        tiles = images * blocks(out_height, rows) * blocks(out_width, tile.columns)
        _depthwise[(tiles * blocks(channels, tile.channels),)](
            x,
            self.weight,
            self.bias,
            out,
            height,
            width,
            out_height,
            out_width,
            channels // 8,
            KERNEL=self.kernel,
            STRIDE=self.stride,
            PAIRS=tile.pairs,
            ROWS=tile.rows,
            COLUMNS=tile.columns,
            CHANNELS=tile.channels,
            num_warps=tile.warps,
        )
        return out


@triton.jit
def _filtered(
    x,
    weight,
    bias,
    row,
    column,
    channel,
    height,
    width,
    channels,
    KERNEL: tl.constexpr,
    STRIDE: tl.constexpr,
    PIXELS: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """ReLU6 of the filtered channels at pixels of the output; x points to their image."""
    wanted = channel < channels
    total = tl.zeros((PIXELS, CHANNELS), tl.float32)
    for down in tl.static_range(KERNEL):
        y = row * STRIDE + (down - KERNEL // 2)
        for over in tl.static_range(KERNEL):
            z = column * STRIDE + (over - KERNEL // 2)
            inside = (y >= 0) & (y < height) & (z >= 0) & (z < width)
            value = tl.load(
                x + ((y * width + z) * channels)[:, None] + channel[None, :],
                inside[:, None] & wanted[None, :],
                0.0,
            )
            tap = tl.load(weight + (down * KERNEL + over) * channels + channel, wanted, 0.0)
            total += value.to(tl.float32) * tap.to(tl.float32)[None, :]
    total += tl.load(bias + channel, wanted, 0.0)[None, :]
    return activated(total, 2)


@triton.jit
def _filtered_pair(
    x,
    weight,
    bias,
    row,
    column,
    channel,
    height,
    width,
    channels,
    KERNEL: tl.constexpr,
    PIXELS: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """As `_filtered` with a stride of 1, for pixels and those a row below them."""
    wanted = channel < channels
    upper = tl.zeros((PIXELS, CHANNELS), tl.float32)
    lower = tl.zeros((PIXELS, CHANNELS), tl.float32)
    for over in tl.static_range(KERNEL):
        z = column + (over - KERNEL // 2)
        for down in tl.static_range(KERNEL + 1):
            y = row + (down - KERNEL // 2)
            inside = (y >= 0) & (y < height) & (z >= 0) & (z < width)
            value = tl.load(
                x + ((y * width + z) * channels)[:, None] + channel[None, :],
                inside[:, None] & wanted[None, :],
                0.0,
            ).to(tl.float32)
            # Written alike, so that the compiler sees that each tap is loaded twice, and does not.
            if down < KERNEL:
                tap = tl.load(weight + (down * KERNEL + over) * channels + channel, wanted, 0.0)
                upper += value * tap.to(tl.float32)[None, :]
            if down > 0:
                above = down - 1
                tap = tl.load(weight + (above * KERNEL + over) * channels + channel, wanted, 0.0)
                lower += value * tap.to(tl.float32)[None, :]
    shift = tl.load(bias + channel, wanted, 0.0)[None, :]
    return activated(upper + shift, 2), activated(lower + shift, 2)


@triton.jit(do_not_specialize=["height", "width", "out_height", "out_width", "before8"])
def _depthwise(
    x,
    weight,
    bias,
    out,
    height,
    width,
    out_height,
    out_width,
    before8,
    KERNEL: tl.constexpr,
    STRIDE: tl.constexpr,
    PAIRS: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    channels = before8 * 8
    over = tl.cdiv(channels, CHANNELS)
    index = tl.program_id(0)
    channel = (index % over) * CHANNELS + tl.arange(0, CHANNELS)
    wanted = (channel < channels)[None, :]
    lines = tl.cdiv(out_height, 2) if PAIRS else out_height
    image, row, column = tile_position(index // over, lines, out_width, ROWS, COLUMNS)
    image = image.to(tl.int64)
    x += image * height * width * channels
    out += image * out_height * out_width * channels
    within = column < out_width
    if PAIRS:
        row = row * 2
        total, below = _filtered_pair(
            x,
            weight,
            bias,
            row,
            column,
            channel,
            height,
            width,
            channels,
            KERNEL,
            ROWS * COLUMNS,
            CHANNELS,
        )
        offsets = (((row + 1) * out_width + column) * channels)[:, None] + channel[None, :]
        inside = (row + 1 < out_height) & within
        tl.store(out + offsets, below.to(tl.float16), inside[:, None] & wanted)
    else:
        total = _filtered(
            x,
            weight,
            bias,
            row,
            column,
            channel,
            height,
            width,
            channels,
            KERNEL,
            STRIDE,
            ROWS * COLUMNS,
            CHANNELS,
        )
    offsets = ((row * out_width + column) * channels)[:, None] + channel[None, :]
    inside = (row < out_height) & within
    tl.store(out + offsets, total.to(tl.float16), inside[:, None] & wanted)

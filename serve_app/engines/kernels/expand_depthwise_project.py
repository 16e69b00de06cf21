"""A block whose three convolutions are one kernel."""

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from serve_app.engines.kernels.shared import activated, tile_position
from serve_app.engines.kernels.tiles import Tile, blocks, power_of_two


@dataclass(frozen=True, eq=False)
class ExpandDepthwiseProject:
    """out = ReLU6(depthwise(wide) + bias) @ project + project_bias + residual, wide being
    ReLU6(x @ expand + expand_bias): it never leaves the chip, and is made anew for each tap, which
    for few channels in is less than to write them widened and read them again.
    """

    expand: Tensor  # float16 [before, inner]
    expand_bias: Tensor  # float32 [inner]
    weight: Tensor  # float16 [kernel * kernel, inner]
    bias: Tensor  # float32 [inner]
    kernel: int
    stride: int
    project: Tensor  # float16 [inner, after]
    project_bias: Tensor  # float32 [after]
    tile: Tile  # its channels are all of the output

    def __call__(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        """float16 [N, H, W, before] -> float16 [N, H / stride, W / stride, after]."""
        images, height, width, before = x.shape
        inner, after = self.project.shape
        out_height, out_width = blocks(height, self.stride), blocks(width, self.stride)
        out = torch.empty(images, out_height, out_width, after, dtype=x.dtype, device=x.device)
        tile = self.tile
        tiles = images * blocks(out_height, tile.rows) * blocks(out_width, tile.columns)
        _expand_depthwise_project[(tiles * blocks(after, tile.channels),)](
            x,
            self.expand,
            self.expand_bias,
            self.weight,
            self.bias,
            self.project,
            self.project_bias,
            x if residual is None else residual,
            out,
            height,
            width,
            out_height,
            out_width,
            before // 8,
            inner // 8,
            after // 8,
            KERNEL=self.kernel,
            STRIDE=self.stride,
            RESIDUAL=residual is not None,
            ROWS=tile.rows,
            COLUMNS=tile.columns,
            BEFORE=power_of_two(before),
            INNER=tile.inner,
            AFTER=tile.channels,
            num_warps=tile.warps,
            num_stages=tile.stages,
        )
        return out


@triton.jit
def _expanded_filtered(
    x,
    expand,
    expand_bias,
    weight,
    bias,
    row,
    column,
    channel,
    height,
    width,
    before,
    channels,
    KERNEL: tl.constexpr,
    STRIDE: tl.constexpr,
    PIXELS: tl.constexpr,
    BEFORE: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """As `_filtered` of what `expand` makes of x; outside the image that is 0, not its bias."""
    wanted = channel < channels
    k = tl.arange(0, BEFORE)
    known = k < before
    matrix = tl.load(
        expand + k[:, None] * channels + channel[None, :], known[:, None] & wanted[None, :], 0.0
    )
    shift = tl.load(expand_bias + channel, wanted, 0.0)[None, :]
    total = tl.zeros((PIXELS, CHANNELS), tl.float32)
    for down in tl.static_range(KERNEL):
        y = row * STRIDE + (down - KERNEL // 2)
        for over in tl.static_range(KERNEL):
            z = column * STRIDE + (over - KERNEL // 2)
            inside = (y >= 0) & (y < height) & (z >= 0) & (z < width)
            pixel = tl.load(
                x + ((y * width + z) * before)[:, None] + k[None, :],
                inside[:, None] & known[None, :],
                0.0,
            )
            value = activated(tl.dot(pixel, matrix) + shift, 2)
            tap = tl.load(weight + (down * KERNEL + over) * channels + channel, wanted, 0.0)
            total += tl.where(inside[:, None], value, 0.0) * tap.to(tl.float32)[None, :]
    total += tl.load(bias + channel, wanted, 0.0)[None, :]
    return activated(total, 2)


@triton.jit(
    do_not_specialize=[
        *("height", "width", "out_height", "out_width", "before8", "inner8", "after8"),
    ]
)
def _expand_depthwise_project(
    x,
    expand,
    expand_bias,
    weight,
    bias,
    project,
    project_bias,
    residual,
    out,
    height,
    width,
    out_height,
    out_width,
    before8,
    inner8,
    after8,
    KERNEL: tl.constexpr,
    STRIDE: tl.constexpr,
    RESIDUAL: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    BEFORE: tl.constexpr,
    INNER: tl.constexpr,
    AFTER: tl.constexpr,
):
    before = before8 * 8
    inner = inner8 * 8
    after = after8 * 8
    blocks_over = tl.cdiv(after, AFTER)
    index = tl.program_id(0)
    image, row, column = tile_position(index // blocks_over, out_height, out_width, ROWS, COLUMNS)
    channel = (index % blocks_over) * AFTER + tl.arange(0, AFTER)
    wanted = channel < after
    image = image.to(tl.int64)
    x += image * height * width * before
    total = tl.zeros((ROWS * COLUMNS, AFTER), tl.float32)
    for first in range(0, inner, INNER):
        k = first + tl.arange(0, INNER)
        value = _expanded_filtered(
            x,
            expand,
            expand_bias,
            weight,
            bias,
            row,
            column,
            k,
            height,
            width,
            before,
            inner,
            KERNEL,
            STRIDE,
            ROWS * COLUMNS,
            BEFORE,
            INNER,
        )
        known = (k < inner)[:, None] & wanted[None, :]
        matrix = tl.load(project + k[:, None] * after + channel[None, :], known, 0.0)
        total = tl.dot(value.to(tl.float16), matrix, total)
    total += tl.load(project_bias + channel, wanted, 0.0)[None, :]
    inside = (row < out_height) & (column < out_width)
    mask = inside[:, None] & wanted[None, :]
    offsets = ((row * out_width + column) * after)[:, None] + channel[None, :]
    base = image * out_height * out_width * after
    if RESIDUAL:
        total += tl.load(residual + base + offsets, mask, 0.0).to(tl.float32)
    tl.store(out + base + offsets, total.to(tl.float16), mask)

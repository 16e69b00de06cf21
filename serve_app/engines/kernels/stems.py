"""The first convolution of either branch: of the view, and of the bytes themselves."""

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from serve_app.engines.kernels.shared import activated, resized, tile_position
from serve_app.engines.kernels.tiles import Tile, blocks


@dataclass(frozen=True, eq=False)
class ViewStem:
    """out = ReLU6(convolution(view) + bias), 3x3 with a stride of 2."""

    weight: Tensor  # float16 [3 * 16, after]: rows of 3 pixels with 4 channels each, filled up
    bias: Tensor  # float32 [after]
    tile: Tile

    def __call__(self, view: Tensor) -> Tensor:
        """float16 [N, h, w, 4] -> float16 [N, h/2, w/2, after]."""
        images, height, width, _ = view.shape
        after = self.weight.shape[1]
        size = images, height // 2, width // 2
        out = torch.empty(*size, after, dtype=view.dtype, device=view.device)
        tile = self.tile
        _view_stem[(images * blocks(size[1], tile.rows) * blocks(size[2], tile.columns),)](
            view,
            self.weight,
            self.bias,
            out,
            height,
            width,
            after // 8,
            ROWS=tile.rows,
            COLUMNS=tile.columns,
            AFTER=tile.channels,
            num_warps=tile.warps,
        )
        return out


@dataclass(frozen=True, eq=False)
class BlockStem:
    """out = ReLU(convolution(to_blocks(image)) + bias) + resized coarse.

    A 3x3 convolution over blocks of 2x2 pixels with a stride of 2 is one of 6x6 over pixels with a
    stride of 4: it reads the image's bytes, and nothing is rearranged.
    """

    weight: Tensor  # float16 [6 * 32, after]: rows of 6 pixels' RGB, then their trimap, filled up
    bias: Tensor  # float32 [after]
    tile: Tile

    def __call__(self, rgb: Tensor, trimap: Tensor, coarse: Tensor) -> Tensor:
        """uint8 [N, H, W, 3], uint8 [N, H, W], float16 [N, h, w, after] -> float16
        [N, H/4, W/4, after].
        """
        images, height, width = trimap.shape
        after = self.weight.shape[1]
        size = images, height // 4, width // 4
        out = torch.empty(*size, after, dtype=torch.float16, device=rgb.device)
        tile = self.tile
        _block_stem[(images * blocks(size[1], tile.rows) * blocks(size[2], tile.columns),)](
            rgb,
            trimap,
            self.weight,
            self.bias,
            coarse,
            out,
            height,
            width,
            coarse.shape[1],
            coarse.shape[2],
            after // 8,
            ROWS=tile.rows,
            COLUMNS=tile.columns,
            AFTER=tile.channels,
            num_warps=tile.warps,
        )
        return out


@triton.jit(do_not_specialize=["height", "width", "after8"])
def _view_stem(
    view,
    weight,
    bias,
    out,
    height,
    width,
    after8,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    AFTER: tl.constexpr,
):
    after = after8 * 8
    out_height = height // 2
    out_width = width // 2
    image, row, column = tile_position(tl.program_id(0), out_height, out_width, ROWS, COLUMNS)
    image = image.to(tl.int64)
    view += image * height * width * 4
    k = tl.arange(0, 16)
    channel = tl.arange(0, AFTER)
    wanted = (channel < after)[None, :]
    z = (column * 2 - 1)[:, None] + (k // 4)[None, :]
    beside = (z >= 0) & (z < width) & (k < 12)[None, :]
    total = tl.zeros((ROWS * COLUMNS, AFTER), tl.float32)
    for down in tl.static_range(3):
        y = row * 2 - 1 + down
        mask = ((y >= 0) & (y < height))[:, None] & beside
        a = tl.load(view + ((y * width + column * 2 - 1) * 4)[:, None] + k[None, :], mask, 0.0)
        b = tl.load(weight + (down * 16 + k)[:, None] * after + channel[None, :], wanted, 0.0)
        total = tl.dot(a, b, total)
    total = activated(total + tl.load(bias + channel, channel < after, 0.0)[None, :], 2)
    inside = (row < out_height) & (column < out_width)
    offsets = ((row * out_width + column) * after)[:, None] + channel[None, :]
    out += image * out_height * out_width * after
    tl.store(out + offsets, total.to(tl.float16), inside[:, None] & wanted)


@triton.jit(do_not_specialize=["height", "width", "coarse_height", "coarse_width", "after8"])
def _block_stem(
    rgb,
    trimap,
    weight,
    bias,
    coarse,
    out,
    height,
    width,
    coarse_height,
    coarse_width,
    after8,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    AFTER: tl.constexpr,
):
    after = after8 * 8
    out_height = height // 4
    out_width = width // 4
    image, row, column = tile_position(tl.program_id(0), out_height, out_width, ROWS, COLUMNS)
    image = image.to(tl.int64)
    rgb += image * height * width * 3
    trimap += image * height * width
    k = tl.arange(0, 32)
    colour = k < 18
    channel = tl.arange(0, AFTER)
    wanted = (channel < after)[None, :]
    z = (column * 4 - 2)[:, None] + tl.where(colour, k // 3, k - 18)[None, :]
    beside = (z >= 0) & (z < width)
    total = tl.zeros((ROWS * COLUMNS, AFTER), tl.float32)
    for down in tl.static_range(6):
        y = row * 4 - 2 + down
        mask = ((y >= 0) & (y < height))[:, None] & beside
        first = (y * width + column * 4 - 2)[:, None]
        # What is outside the image or the row of weights becomes 0: the mean is taken off.
        a = tl.load(rgb + first * 3 + k[None, :], mask & colour[None, :], 127)
        hint = mask & ((k >= 18) & (k < 24))[None, :]
        b = tl.load(trimap + first + (k - 18)[None, :], hint, 128)
        row_of = tl.where(colour[None, :], a.to(tl.float32) - 127, b.to(tl.float32) - 128)
        matrix = tl.load(weight + (down * 32 + k)[:, None] * after + channel[None, :], wanted, 0.0)
        total = tl.dot(row_of.to(tl.float16), matrix, total)
    total = total * (1 / 128) + tl.load(bias + channel, channel < after, 0.0)[None, :]
    total = activated(total, 1)
    inside = (row < out_height) & (column < out_width)
    mask = inside[:, None] & wanted
    total += resized(
        coarse + image * coarse_height * coarse_width * after,
        row,
        column,
        out_height,
        out_width,
        coarse_height,
        coarse_width,
        channel,
        after,
        mask,
    )
    offsets = ((row * out_width + column) * after)[:, None] + channel[None, :]
    out += image * out_height * out_width * after
    tl.store(out + offsets, total.to(tl.float16), mask)

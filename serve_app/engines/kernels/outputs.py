"""The last convolution, the context's logits enlarged, and from logits to bytes."""

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from serve_app.engines.kernels.shared import between, tile_position
from serve_app.engines.kernels.tiles import Tile, blocks


@dataclass(frozen=True, eq=False)
class AlphaHead:
    """Blocks of 4x4 pixels of the alpha, one for each pixel of the detail branch."""

    weight: Tensor  # float16 [9, before, 16]
    bias: Tensor  # float32 [16]
    enlarge: Tensor  # float32 [9, 16]
    tile: Tile

    def __call__(self, x: Tensor, coarse: Tensor) -> Tensor:
        """float16 [N, H/4, W/4, before], logits float32 [N, h, w] -> uint8 [N, H, W]."""
        images, height, width, before = x.shape
        out = torch.empty(images, height * 4, width * 4, dtype=torch.uint8, device=x.device)
        tile = self.tile
        _alpha[(images * blocks(height, tile.rows) * blocks(width, tile.columns),)](
            x,
            self.weight,
            self.bias,
            coarse,
            self.enlarge,
            out,
            height,
            width,
            coarse.shape[1],
            coarse.shape[2],
            before // 8,
            ROWS=tile.rows,
            COLUMNS=tile.columns,
            BEFORE=tile.inner,
            num_warps=tile.warps,
        )
        return out


@triton.jit(do_not_specialize=["height", "width", "coarse_height", "coarse_width", "before8"])
def _alpha(
    x,
    weight,
    bias,
    coarse,
    enlarge,
    out,
    height,
    width,
    coarse_height,
    coarse_width,
    before8,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    BEFORE: tl.constexpr,
):
    before = before8 * 8
    image, row, column = tile_position(tl.program_id(0), height, width, ROWS, COLUMNS)
    image = image.to(tl.int64)
    x += image * height * width * before
    coarse += image * coarse_height * coarse_width
    k = tl.arange(0, BEFORE)
    known = k < before
    part = tl.arange(0, 16)  # of a block's pixels
    total = tl.zeros((ROWS * COLUMNS, 16), tl.float32)
    for down in tl.static_range(3):
        y = row + (down - 1)
        for over in tl.static_range(3):
            z = column + (over - 1)
            inside = (y >= 0) & (y < height) & (z >= 0) & (z < width)
            a = tl.load(
                x + ((y * width + z) * before)[:, None] + k[None, :],
                inside[:, None] & known[None, :],
                0.0,
            )
            b = tl.load(
                weight + ((down * 3 + over) * before + k)[:, None] * 16 + part[None, :],
                known[:, None],
                0.0,
            )
            total = tl.dot(a, b, total)
    total += tl.load(bias + part)[None, :]
    for down in tl.static_range(3):
        y = tl.minimum(tl.maximum(row + (down - 1), 0), height - 1)
        for over in tl.static_range(3):
            z = tl.minimum(tl.maximum(column + (over - 1), 0), width - 1)
            logit = _between(coarse, y, z, height, width, coarse_height, coarse_width)
            total += logit[:, None] * tl.load(enlarge + (down * 3 + over) * 16 + part)[None, :]

    stretched = 1.04 / (1 + tl.exp(-total)) - 0.02
    level = tl.minimum(tl.maximum(stretched, 0.0), 1.0) * 255
    inside = (row < height) & (column < width)
    out += image * height * width * 16
    line = (row * 4)[:, None] + (part // 4)[None, :]
    place = line * (width * 4) + (column * 4)[:, None] + (part % 4)[None, :]
    tl.store(
        out + place, (level + 0.5).to(tl.int32).to(tl.uint8), inside[:, None] & (part < 16)[None, :]
    )


@triton.jit
def _between(coarse, row, column, height, width, coarse_height, coarse_width):
    """One channel of a coarser map, bilinearly."""
    top, bottom, down = between(row, height, coarse_height)
    left, right, over = between(column, width, coarse_width)
    a = tl.load(coarse + top * coarse_width + left)
    b = tl.load(coarse + top * coarse_width + right)
    c = tl.load(coarse + bottom * coarse_width + left)
    d = tl.load(coarse + bottom * coarse_width + right)
    return (a * (1 - over) + b * over) * (1 - down) + (c * (1 - over) + d * over) * down

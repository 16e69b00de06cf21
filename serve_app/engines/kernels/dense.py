"""3x3 convolutions with ReLU, as nine matrix products, and the logit of their output.

A 1x1 convolution that follows is a kernel of its own, though it needs nothing but the same pixels:
with a second `tl.dot` fed by the first one's result, Triton 3.6 gave wrong sums on an H200 (sm_90).
"""

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from serve_app.engines.kernels.shared import activated, tile_position
from serve_app.engines.kernels.tiles import Tile, blocks


@dataclass(frozen=True, eq=False)
class Dense:
    """out = ReLU(convolution(x) + bias); with `head` the logit out @ head + head_bias beside it."""

    weight: Tensor  # float16 [9, before, after]
    bias: Tensor  # float32 [after]
    stride: int
    tile: Tile  # its channels are all of the output
    head: Tensor | None = None  # float32 [after]
    head_bias: Tensor | None = None  # float32 [1]

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """float16 [N, H, W, before] -> float16 [N, H / stride, W / stride, after], and the
        logits, float32 [N, H / stride, W / stride], if there is a head.
        """
        images, height, width, before = x.shape
        after = self.weight.shape[2]
        size = images, blocks(height, self.stride), blocks(width, self.stride)
        out = torch.empty(*size, after, dtype=x.dtype, device=x.device)
        logits = out
        if self.head is not None:
            logits = torch.empty(size, dtype=torch.float32, device=x.device)
        tile = self.tile
        tiles = images * blocks(size[1], tile.rows) * blocks(size[2], tile.columns)
        _dense[(tiles,)](
            x,
            self.weight,
            self.bias,
            self.bias if self.head is None else self.head,
            self.bias if self.head_bias is None else self.head_bias,
            out,
            logits,
            height,
            width,
            size[1],
            size[2],
            before // 8,
            after // 8,
            STRIDE=self.stride,
            HEAD=self.head is not None,
            ROWS=tile.rows,
            COLUMNS=tile.columns,
            BEFORE=tile.inner,
            AFTER=tile.channels,
            num_warps=tile.warps,
            num_stages=tile.stages,
        )
        return out, logits


@triton.jit(
    do_not_specialize=[
        *("height", "width", "out_height", "out_width", "before8", "after8"),
    ]
)
def _dense(
    x,
    weight,
    bias,
    head,
    head_bias,
    out,
    logits,
    height,
    width,
    out_height,
    out_width,
    before8,
    after8,
    STRIDE: tl.constexpr,
    HEAD: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    BEFORE: tl.constexpr,
    AFTER: tl.constexpr,
):
    before = before8 * 8
    after = after8 * 8
    image, row, column = tile_position(tl.program_id(0), out_height, out_width, ROWS, COLUMNS)
    image = image.to(tl.int64)
    x += image * height * width * before
    k = tl.arange(0, BEFORE)
    channel = tl.arange(0, AFTER)
    wanted = channel < after
    known = k < before
    matrix = weight + k[:, None] * after + channel[None, :]
    total = tl.zeros((ROWS * COLUMNS, AFTER), tl.float32)
    for down in tl.static_range(3):
        y = row * STRIDE + (down - 1)
        for over in tl.static_range(3):
            z = column * STRIDE + (over - 1)
            inside = (y >= 0) & (y < height) & (z >= 0) & (z < width)
            a = tl.load(
                x + ((y * width + z) * before)[:, None] + k[None, :],
                inside[:, None] & known[None, :],
                0.0,
            )
            b = tl.load(
                matrix + (down * 3 + over) * before * after, known[:, None] & wanted[None, :], 0.0
            )
            total = tl.dot(a, b, total)
    total = activated(total + tl.load(bias + channel, wanted, 0.0)[None, :], 1)

    inside = (row < out_height) & (column < out_width)
    pixel = row * out_width + column
    first = image * out_height * out_width
    if HEAD:
        logit = tl.sum(total * tl.load(head + channel, wanted, 0.0)[None, :], 1)
        tl.store(logits + first + pixel, logit + tl.load(head_bias), inside)
    tl.store(
        out + first * after + (pixel * after)[:, None] + channel[None, :],
        total.to(tl.float16),
        inside[:, None] & wanted[None, :],
    )

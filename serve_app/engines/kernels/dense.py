"""3x3 convolutions with ReLU, as nine matrix products, and what needs nothing but their output."""

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from serve_app.engines.kernels.shared import activated, tile_position
from serve_app.engines.kernels.tiles import Tile, blocks, power_of_two


@dataclass(frozen=True, eq=False)
class Dense:
    """out = ReLU(convolution(x) + bias), and one of two that may follow.

    With `project`: out @ project + project_bias in its place. With `head`: beside it, the logit
    out @ head + head_bias.
    """

    weight: Tensor  # float16 [9, before, after]
    bias: Tensor  # float32 [after]
    stride: int
    tile: Tile  # its channels are all of the convolution's
    project: Tensor | None = None  # float16 [after, projected]
    project_bias: Tensor | None = None  # float32 [projected]
    head: Tensor | None = None  # float32 [after]
    head_bias: Tensor | None = None  # float32 [1]

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """float16 [N, H, W, before] -> float16 [N, H / stride, W / stride, after or projected],
        and the logits, float32 [N, H / stride, W / stride], if there is a head.
        """
        images, height, width, before = x.shape
        after = self.weight.shape[2]
        given = after if self.project is None else self.project.shape[1]
        size = images, blocks(height, self.stride), blocks(width, self.stride)
        out = torch.empty(*size, given, dtype=x.dtype, device=x.device)
        logits = out
        if self.head is not None:
            logits = torch.empty(size, dtype=torch.float32, device=x.device)
        tile = self.tile
        tiles = images * blocks(size[1], tile.rows) * blocks(size[2], tile.columns)
        _dense[(tiles,)](
            x,
            self.weight,
            self.bias,
            self.weight if self.project is None else self.project,
            self.bias if self.project_bias is None else self.project_bias,
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
            given // 8,
            STRIDE=self.stride,
            PROJECT=self.project is not None,
            HEAD=self.head is not None,
            ROWS=tile.rows,
            COLUMNS=tile.columns,
            BEFORE=tile.inner,
            AFTER=tile.channels,
            GIVEN=power_of_two(given),
            num_warps=tile.warps,
            num_stages=tile.stages,
        )
        return out, logits


@triton.jit(
    do_not_specialize=[
        *("height", "width", "out_height", "out_width", "before8", "after8", "given8"),
    ]
)
def _dense(
    x,
    weight,
    bias,
    project,
    project_bias,
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
    given8,
    STRIDE: tl.constexpr,
    PROJECT: tl.constexpr,
    HEAD: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    BEFORE: tl.constexpr,
    AFTER: tl.constexpr,
    GIVEN: tl.constexpr,
):
    before = before8 * 8
    after = after8 * 8
    given = given8 * 8
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
    if PROJECT:
        final = tl.arange(0, GIVEN)
        kept = final < given
        second = tl.load(
            project + channel[:, None] * given + final[None, :],
            wanted[:, None] & kept[None, :],
            0.0,
        )
        total = tl.dot(total.to(tl.float16), second)
        total += tl.load(project_bias + final, kept, 0.0)[None, :]
    else:
        final = channel
        kept = wanted
    tl.store(
        out + first * given + (pixel * given)[:, None] + final[None, :],
        total.to(tl.float16),
        inside[:, None] & kept[None, :],
    )

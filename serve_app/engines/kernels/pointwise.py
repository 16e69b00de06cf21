"""1x1 convolutions, as matrix products of pixels."""

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from serve_app.engines.kernels.shared import activated, resized
from serve_app.engines.kernels.tiles import Tile, blocks


@dataclass(frozen=True, eq=False)
class Pointwise:
    """out = activation(x @ weight + hint * hint_weight + bias) + residual + resized coarse."""

    weight: Tensor  # float16 [before, after]
    bias: Tensor  # float32 [after]
    tile: Tile
    activation: int = 0
    hint_weight: Tensor | None = None  # float32 [after]

    def __call__(
        self,
        x: Tensor,
        residual: Tensor | None = None,
        hint: Tensor | None = None,
        coarse: Tensor | None = None,
        image_bias: Tensor | None = None,
    ) -> Tensor:
        """All but `hint` are channels last.

        Args:
            x: float16 [N, H, W, before].
            residual: float16 [N, H, W, after].
            hint: float16 [N, H, W], one more channel of the input.
            coarse: float16 [N, h, w, after].
            image_bias: float32 [N, after], in place of the bias.

        Returns:
            float16 [N, H, W, after].
        """
        images, height, width, before = x.shape
        after = self.weight.shape[1]
        out = torch.empty(images, height, width, after, dtype=x.dtype, device=x.device)
        pixels = images * height * width
        tile = self.tile
        _pointwise[(blocks(pixels, tile.pixels) * blocks(after, tile.channels),)](
            x,
            self.weight,
            self.bias if image_bias is None else image_bias,
            x if residual is None else residual,
            x if hint is None else hint,
            self.bias if self.hint_weight is None else self.hint_weight,
            x if coarse is None else coarse,
            out,
            pixels,
            height,
            width,
            1 if coarse is None else coarse.shape[1],
            1 if coarse is None else coarse.shape[2],
            before // 8,
            after // 8,
            ACTIVATION=self.activation,
            IMAGE_BIAS=image_bias is not None,
            RESIDUAL=residual is not None,
            HINT=hint is not None,
            RESIZED=coarse is not None,
            PIXELS=tile.pixels,
            BEFORE=tile.inner,
            AFTER=tile.channels,
            num_warps=tile.warps,
            num_stages=tile.stages,
        )
        return out


@triton.jit(
    do_not_specialize=[
        *("pixels", "height", "width", "coarse_height", "coarse_width", "before8", "after8"),
    ]
)
def _pointwise(
    x,
    weight,
    bias,
    residual,
    hint,
    hint_weight,
    coarse,
    out,
    pixels,
    height,
    width,
    coarse_height,
    coarse_width,
    before8,
    after8,
    ACTIVATION: tl.constexpr,
    IMAGE_BIAS: tl.constexpr,
    RESIDUAL: tl.constexpr,
    HINT: tl.constexpr,
    RESIZED: tl.constexpr,
    PIXELS: tl.constexpr,
    BEFORE: tl.constexpr,
    AFTER: tl.constexpr,
):
    before = before8 * 8
    after = after8 * 8
    over = tl.cdiv(after, AFTER)
    index = tl.program_id(0)
    start = (index // over) * PIXELS
    pixel = tl.arange(0, PIXELS)
    inside = pixel < pixels - start
    channel = (index % over) * AFTER + tl.arange(0, AFTER)
    wanted = channel < after
    inner = tl.arange(0, BEFORE)
    x += start.to(tl.int64) * before
    total = tl.zeros((PIXELS, AFTER), tl.float32)
    for first in range(0, before, BEFORE):
        k = first + inner
        known = k < before
        a = tl.load(x + pixel[:, None] * before + k[None, :], inside[:, None] & known[None, :], 0.0)
        b = tl.load(
            weight + k[:, None] * after + channel[None, :], known[:, None] & wanted[None, :], 0.0
        )
        total = tl.dot(a, b, total)

    mask = inside[:, None] & wanted[None, :]
    place = start + pixel
    image = place // (height * width)
    if IMAGE_BIAS:
        total += tl.load(bias + image[:, None] * after + channel[None, :], mask, 0.0)
    else:
        total += tl.load(bias + channel, wanted, 0.0)[None, :]
    if HINT:
        level = tl.load(hint + place, inside, 0.0).to(tl.float32)
        total += level[:, None] * tl.load(hint_weight + channel, wanted, 0.0)[None, :]
    total = activated(total, ACTIVATION)
    offsets = pixel[:, None] * after + channel[None, :]
    if RESIDUAL:
        total += tl.load(residual + start.to(tl.int64) * after + offsets, mask, 0.0).to(tl.float32)
    if RESIZED:
        of_image = coarse_height * coarse_width * after
        base = coarse + (image.to(tl.int64) * of_image)[:, None]
        row = place // width % height
        total += resized(
            base,
            row,
            place % width,
            height,
            width,
            coarse_height,
            coarse_width,
            channel,
            after,
            mask,
        )
    tl.store(out + start.to(tl.int64) * after + offsets, total.to(tl.float16), mask)

"""Sums: a map and a coarser one resized; the mean of a map through a matrix."""

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from serve_app.engines.kernels.shared import resized
from serve_app.engines.kernels.tiles import blocks, power_of_two

_PIXELS = 128  # of one program
_AT_ONCE = 16  # pixels of a mean


def add_resized(x: Tensor, coarse: Tensor) -> Tensor:
    """float16 [N, H, W, C] plus float16 [N, h, w, C], resized bilinearly."""
    images, height, width, channels = x.shape
    out = torch.empty_like(x)
    pixels = images * height * width
    _add_resized[(blocks(pixels, _PIXELS),)](
        x,
        coarse,
        out,
        pixels,
        height,
        width,
        coarse.shape[1],
        coarse.shape[2],
        channels // 8,
        PIXELS=_PIXELS,
        CHANNELS=power_of_two(channels),
    )
    return out


@dataclass(frozen=True, eq=False)
class MeanThrough:
    """out = mean of all pixels @ weight + bias."""

    weight: Tensor  # float32 [after, before]
    bias: Tensor  # float32 [after]

    def __call__(self, x: Tensor) -> Tensor:
        """float16 [N, H, W, before] -> float32 [N, after]."""
        images, height, width, before = x.shape
        after = self.weight.shape[0]
        out = torch.empty(images, after, dtype=torch.float32, device=x.device)
        _mean_through[(images * blocks(after, 8),)](
            x,
            self.weight,
            self.bias,
            out,
            height * width,
            before // 8,
            after // 8,
            PIXELS=_AT_ONCE,
            BEFORE=power_of_two(before),
            num_warps=8,
        )
        return out


@triton.jit(
    do_not_specialize=[
        *("pixels", "height", "width", "coarse_height", "coarse_width", "channels8"),
    ]
)
def _add_resized(
    x,
    coarse,
    out,
    pixels,
    height,
    width,
    coarse_height,
    coarse_width,
    channels8,
    PIXELS: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    channels = channels8 * 8
    start = tl.program_id(0) * PIXELS
    pixel = tl.arange(0, PIXELS)
    channel = tl.arange(0, CHANNELS)
    mask = (pixel < pixels - start)[:, None] & (channel < channels)[None, :]
    place = start + pixel
    image = (place // (height * width)).to(tl.int64)
    coarse_sum = resized(
        coarse + (image * coarse_height * coarse_width * channels)[:, None],
        place // width % height,
        place % width,
        height,
        width,
        coarse_height,
        coarse_width,
        channel,
        channels,
        mask,
    )
    offsets = start.to(tl.int64) * channels + pixel[:, None] * channels + channel[None, :]
    total = tl.load(x + offsets, mask, 0.0).to(tl.float32) + coarse_sum
    tl.store(out + offsets, total.to(tl.float16), mask)


@triton.jit(do_not_specialize=["pixels", "before8", "after8"])
def _mean_through(
    x,
    weight,
    bias,
    out,
    pixels,
    before8,
    after8,
    PIXELS: tl.constexpr,
    BEFORE: tl.constexpr,
):
    before = before8 * 8
    image = tl.program_id(0) // after8
    final = (tl.program_id(0) % after8) * 8 + tl.arange(0, 8)
    k = tl.arange(0, BEFORE)
    known = k < before
    x += image.to(tl.int64) * pixels * before
    total = tl.zeros((PIXELS, BEFORE), tl.float32)
    for first in range(0, pixels, PIXELS):
        pixel = first + tl.arange(0, PIXELS)
        mask = (pixel < pixels)[:, None] & known[None, :]
        total += tl.load(x + pixel[:, None] * before + k[None, :], mask, 0.0).to(tl.float32)
    mean = tl.sum(total, 0) / pixels
    matrix = tl.load(weight + final[:, None] * before + k[None, :], known[None, :], 0.0)
    answer = tl.sum(matrix * mean[None, :], 1) + tl.load(bias + final)
    tl.store(out + image * (after8 * 8) + final, answer)

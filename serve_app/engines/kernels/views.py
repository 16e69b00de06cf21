"""From bytes: the context branch's view, and the trimap's hints for its levels."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from serve_app.engines.kernels.shared import between
from serve_app.engines.kernels.tiles import blocks

_VIEW_PIXELS = 256  # of one program
_HINT_BLOCKS = 4  # of 32x32 pixels of the view, of one program


def view_of(rgb: Tensor, trimap: Tensor, factor: int, size: tuple[int, int]) -> Tensor:
    """Means of factor x factor pixels, bilinearly brought to a size: normalised.

    Args:
        rgb: uint8 [N, H, W, 3].
        trimap: uint8 [N, H, W].
        factor: as `shrink_to` has it.
        size: height and width of the view.

    Returns:
        float16 [N, h, w, 4].
    """
    images, height, width = trimap.shape
    out = torch.empty(images, *size, 4, dtype=torch.float16, device=rgb.device)
    exact = (height // factor, width // factor) == size
    _view[(blocks(images * size[0] * size[1], _VIEW_PIXELS),)](
        rgb,
        trimap,
        out,
        images,
        height,
        width,
        *size,
        factor,
        BILINEAR=not exact,
        PIXELS=_VIEW_PIXELS,
    )
    return out


def hints_of(view: Tensor) -> list[Tensor]:
    """The view's trimap at a quarter, an eighth... of its size, for `with_hints`' levels.

    Args:
        view: float16 [N, h, w, 4], h and w multiples of 32.

    Returns:
        float16 [N, h/4, w/4], [N, h/8, w/8], [N, h/16, w/16], [N, h/32, w/32].
    """
    images, height, width, _ = view.shape
    levels = [
        torch.empty(images, height // s, width // s, dtype=view.dtype, device=view.device)
        for s in (4, 8, 16, 32)
    ]
    parts = images * (height // 32) * (width // 32)
    grid = (blocks(parts, _HINT_BLOCKS),)
    _hints[grid](view, *levels, parts, height, width, BLOCKS=_HINT_BLOCKS)
    return levels


@triton.jit
def _mean(
    rgb, trimap, image, row, column, channel, height, width, factor, mask, PIXELS: tl.constexpr
):
    """Of factor x factor bytes, from pixel (row, column) times factor: FP32 [pixels, 4]."""
    colour = channel[None, :] < 3
    total = tl.zeros((PIXELS, 4), tl.float32)
    for down in range(factor):
        line = image * height + row * factor + down
        for over in range(factor):
            pixel = (line * width + column * factor + over)[:, None]
            total += tl.load(rgb + pixel * 3 + channel[None, :], mask & colour, 0).to(tl.float32)
            hint = trimap + pixel + channel[None, :] * 0
            total += tl.load(hint, mask & (channel[None, :] == 3), 0).to(tl.float32)
    return total / (factor * factor)


@triton.jit(do_not_specialize=["images", "height", "width", "view_height", "view_width", "factor"])
def _view(
    rgb,
    trimap,
    out,
    images,
    height,
    width,
    view_height,
    view_width,
    factor,
    BILINEAR: tl.constexpr,
    PIXELS: tl.constexpr,
):
    place = tl.program_id(0).to(tl.int64) * PIXELS + tl.arange(0, PIXELS)
    image = place // (view_height * view_width)
    row = (place // view_width % view_height).to(tl.int32)
    column = (place % view_width).to(tl.int32)
    channel = tl.arange(0, 4)
    mask = (image < images)[:, None] & (channel < 4)[None, :]
    if BILINEAR:
        # Rows and columns that do not fill a mean are left out, as a pooling does.
        top, bottom, down = between(row, view_height, height // factor)
        left, right, over = between(column, view_width, width // factor)
        a = _mean(rgb, trimap, image, top, left, channel, height, width, factor, mask, PIXELS)
        b = _mean(rgb, trimap, image, top, right, channel, height, width, factor, mask, PIXELS)
        c = _mean(rgb, trimap, image, bottom, left, channel, height, width, factor, mask, PIXELS)
        d = _mean(rgb, trimap, image, bottom, right, channel, height, width, factor, mask, PIXELS)
        over = over[:, None]
        down = down[:, None]
        mean = (a * (1 - over) + b * over) * (1 - down) + (c * (1 - over) + d * over) * down
    else:
        mean = _mean(rgb, trimap, image, row, column, channel, height, width, factor, mask, PIXELS)
    level = (mean - tl.where(channel < 3, 127.0, 128.0)[None, :]) * (1 / 128)
    tl.store(out + (place * 4)[:, None] + channel[None, :], level.to(tl.float16), mask)


@triton.jit(do_not_specialize=["parts", "height", "width"])
def _hints(view, first, second, third, fourth, parts, height, width, BLOCKS: tl.constexpr):
    """Each level is the mean of 2x2 of the one before, and the first that of the middle 2x2 of 4x4:
    what bilinear resizing by a half and by a quarter comes to.
    """
    part = tl.program_id(0) * BLOCKS + tl.arange(0, BLOCKS)
    inside = part < parts
    across = width // 32
    down = height // 32
    image = (part // (across * down))[:, None, None]
    top = (part // across % down)[:, None, None]
    left = (part % across)[:, None, None]
    mask = inside[:, None, None]

    row = top * 8 + tl.arange(0, 8)[None, :, None]
    column = left * 8 + tl.arange(0, 8)[None, None, :]
    line = image.to(tl.int64) * height + row * 4 + 1
    source = view + (line * width + column * 4 + 1) * 4 + 3
    level = tl.load(source, mask, 0.0).to(tl.float32)
    level += tl.load(source + 4, mask, 0.0).to(tl.float32)
    level += tl.load(source + width * 4, mask, 0.0).to(tl.float32)
    level += tl.load(source + width * 4 + 4, mask, 0.0).to(tl.float32)
    level = level / 4
    at = (image * (height // 4) + row) * (width // 4) + column
    tl.store(first + at, level.to(tl.float16), mask)

    level = _halved(level, BLOCKS, 4)
    row = top * 4 + tl.arange(0, 4)[None, :, None]
    column = left * 4 + tl.arange(0, 4)[None, None, :]
    at = (image * (height // 8) + row) * (width // 8) + column
    tl.store(second + at, level.to(tl.float16), mask)

    level = _halved(level, BLOCKS, 2)
    row = top * 2 + tl.arange(0, 2)[None, :, None]
    column = left * 2 + tl.arange(0, 2)[None, None, :]
    at = (image * (height // 16) + row) * (width // 16) + column
    tl.store(third + at, level.to(tl.float16), mask)

    level = tl.sum(tl.sum(level, 2), 1) / 4
    tl.store(fourth + part, level.to(tl.float16), inside)


@triton.jit
def _halved(level, BLOCKS: tl.constexpr, SIDE: tl.constexpr):
    """[BLOCKS, 2 * SIDE, 2 * SIDE] -> means of 2x2, [BLOCKS, SIDE, SIDE]."""
    parts = tl.reshape(level, (BLOCKS, SIDE, 2, SIDE, 2))
    return tl.sum(tl.sum(parts, 4), 2) / 4

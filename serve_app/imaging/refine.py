"""Bring an alpha up to the image's full resolution, with the detail that the small size lost.

The fast guided filter (He & Sun, "Fast Guided Filter", 2015) fits `alpha = a . colour + b` around
each pixel of the small image and applies it at full size. Applied to the whole alpha it smooths
what the network knew; here it gives only the difference between the full image and the small one:

    alpha = cubic(small alpha) + a . (image - small image)

so an alpha that was sharp stays so, and at equal sizes nothing changes. It works tile by tile and
only where alpha is soft: memory and time follow the length of the edge, not the number of pixels.
"""

from collections.abc import Iterator
from typing import Literal

import cv2
import numpy as np

from serve_app.imaging.color_model import MARGIN, Memory, fit_alpha
from serve_app.imaging.geometry import shrink
from serve_app.imaging.matte import VISIBLE
from serve_app.imaging.windows import Window, enlarge, seen_soft_mask
from serve_app.types import Array, Size

_TILE = 160  # px at full size: fewer calls than 128, and little more that is not soft


def upsample_alpha(
    alpha: Array,
    image: Array,
    size: Size,
    method: Literal["none", "guided"],
    small_image: Array | None = None,
) -> Array:
    """Scale `alpha` `[h, w]` to `size`: uint8 `[H, W]`.

    `image` is uint8 `[H, W, 3]` sRGB, of the same `size`. `none` is bicubic; `guided` adds the
    image's own detail where alpha is seen to be soft. Areas that are 0 or 255 all around stay
    exactly so. A smaller `size` is averaged down. `small_image` `[h, w, 3]`, if it is at hand, is
    `image` at the size of `alpha`: making it is a third of the work.
    """
    if alpha.shape == size:
        return alpha
    if size[0] <= alpha.shape[0] and size[1] <= alpha.shape[1]:
        return np.asarray(cv2.resize(alpha, size[::-1], interpolation=cv2.INTER_AREA), np.uint8)
    out = np.asarray(cv2.resize(alpha, size[::-1], interpolation=cv2.INTER_CUBIC), np.uint8)
    if method == "guided":
        guide = shrink(image, alpha.shape) if small_image is None else small_image
        _add_detail(out, alpha, guide, image)
    return out


def _add_detail(out: Array, alpha: Array, guide: Array, image: Array) -> None:
    """Add `a . (image - guide)` to `out`, tile by tile; `alpha` and `guide` are of one size."""
    soft = seen_soft_mask(alpha, VISIBLE)
    guide, alpha, around = (_with_margin(array) for array in (guide, alpha, soft))
    memory = Memory()
    for full, small in _soft_tiles(soft, out.shape):
        window = _within_margin(small)
        model = fit_alpha(guide[window], alpha[window], memory)
        model *= (around[window] > 0)[..., None]
        tile = out[full]
        model = enlarge(
            model, out.shape, full, (small, soft.shape), memory.take("full", (*tile.shape, 4))
        )
        model *= cv2.cvtColor(image[full], cv2.COLOR_RGB2RGBA)
        detail = (model.reshape(-1, 4) @ np.ones(4, np.float32)).reshape(tile.shape)
        out[full] = cv2.add(tile, detail, dtype=cv2.CV_8U)


def _with_margin(array: Array) -> Array:
    """Continue the edges by what a linear model looks around."""
    return np.asarray(cv2.copyMakeBorder(array, *(MARGIN,) * 4, cv2.BORDER_REPLICATE), np.uint8)


def _within_margin(window: Window) -> Window:
    rows, columns = (slice(axis.start + MARGIN, axis.stop + MARGIN) for axis in window)
    return rows, columns


def _soft_tiles(soft: Array, size: Size) -> Iterator[tuple[Window, Window]]:
    """Yield windows of an image of `size` that soft pixels reach, and what each needs of `soft`.

    The first windows never overlap; the second ones do, by what the linear models look around.
    """
    rows, columns = (
        [_sources(start, full, small) for start in range(0, full, _TILE)]
        for full, small in zip(size, soft.shape, strict=True)
    )
    for row in rows:
        for column in columns:
            left, top, width, height = cv2.boundingRect(soft[row[1], column[1]])
            if width:
                vertical = _reach(row, top, height, size[0], soft.shape[0])
                horizontal = _reach(column, left, width, size[1], soft.shape[1])
                yield (vertical[0], horizontal[0]), (vertical[1], horizontal[1])


def _sources(start: int, full: int, small: int) -> Window:
    """Return a tile along one axis, and the small pixels that it is interpolated from."""
    stop = min(full, start + _TILE)
    first, last = ((at + 0.5) * small / full - 0.5 for at in (start, stop - 1))
    return slice(start, stop), slice(max(0, int(np.floor(first))), min(small, int(last) + 2))


def _reach(tile: Window, start: int, length: int, full: int, small: int) -> Window:
    """Shrink a tile along one axis to what `length` soft pixels from `start` on reach."""
    first = tile[1].start + start
    last = first + length  # exclusive
    ends = ((at + 0.5) * full / small - 0.5 for at in (first - 1, last))
    low, high = (int(np.floor(end)) for end in ends)
    return (
        slice(max(tile[0].start, low), min(tile[0].stop, high + 1)),
        slice(first - MARGIN, last + MARGIN),
    )

"""Bring an alpha up to the image's full resolution, with the detail that the small size lost.

The fast guided filter (He & Sun, "Fast Guided Filter", 2015) fits `alpha = a . colour + b` around
each pixel of the small image and applies it at full size. Applied to the whole alpha it smooths
what the network knew; here it gives only the difference between the full image and the small one:

    alpha = cubic(small alpha) + a . (image - small image)

so an alpha that was sharp stays so, and at equal sizes nothing changes. It works tile by tile and
only where alpha is soft: memory and time follow the length of the edge, not the number of pixels.
"""

from collections.abc import Iterator
from typing import Any, Literal, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from serve_app.imaging.windows import Window, enlarge, soft_mask
from serve_app.types import Array, Size

_Float: TypeAlias = NDArray[np.float32]

_RADIUS = 1  # px at the small size: how far one linear model reaches
_EPSILON = 3e-4 * 255**2  # variance of the guide (8-bit) below which it counts as flat
_TILE = 128  # px at full size


def upsample_alpha(
    alpha: Array, image: Array, size: Size, method: Literal["none", "guided"]
) -> Array:
    """Scale `alpha` `[h, w]` to `size`: uint8 `[H, W]`.

    `image` is uint8 `[H, W, 3]` sRGB, of the same `size`. `none` is bicubic; `guided` adds the
    image's own detail where alpha is soft. Areas that are 0 or 255 all around stay exactly so. A
    smaller `size` is averaged down.
    """
    if alpha.shape == size:
        return alpha
    if size[0] <= alpha.shape[0] and size[1] <= alpha.shape[1]:
        return np.asarray(cv2.resize(alpha, size[::-1], interpolation=cv2.INTER_AREA), np.uint8)
    out = np.asarray(cv2.resize(alpha, size[::-1], interpolation=cv2.INTER_CUBIC), np.uint8)
    if method == "guided":
        _add_detail(out, alpha, image)
    return out


def _add_detail(out: Array, alpha: Array, image: Array) -> None:
    guide = np.asarray(cv2.resize(image, alpha.shape[::-1], interpolation=cv2.INTER_AREA), np.uint8)
    soft = soft_mask(alpha)
    for full, small in _soft_tiles(soft, out.shape):
        model = _fit(guide[small].astype(np.float32), alpha[small].astype(np.float32))
        model *= (soft[small] > 0)[..., None]
        model = enlarge(model, out.shape, full, (small, alpha.shape))
        detail = cv2.transform(
            cv2.multiply(model, cv2.cvtColor(image[full], cv2.COLOR_RGB2RGBA), dtype=cv2.CV_32F),
            np.ones((1, 4), np.float32),
        )
        out[full] = cv2.add(out[full], detail, dtype=cv2.CV_8U)


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
    around = 2 * _RADIUS
    return (
        slice(max(tile[0].start, low), min(tile[0].stop, high + 1)),
        slice(max(0, first - around), min(small, last + around)),
    )


def _fit(guide: _Float, target: _Float) -> _Float:
    """Fit alpha to the colours around each pixel.

    Returns `[h, w, 4]`: three slopes, and what makes the model 0 at the guide's own colour when
    multiplied with 255, the fourth channel of an opaque image.
    """
    red, green, blue = planes = cv2.split(guide)
    r, g, b, mean = (_mean(plane) for plane in (*planes, target))
    rr = _mean(red * red) - r * r + _EPSILON
    gg = _mean(green * green) - g * g + _EPSILON
    bb = _mean(blue * blue) - b * b + _EPSILON
    rg, rb, gb = _mean(red * green) - r * g, _mean(red * blue) - r * b, _mean(green * blue) - g * b
    rt, gt, bt = (
        _mean(plane * target) - m * mean for plane, m in zip(planes, (r, g, b), strict=True)
    )
    # The inverse of the symmetric 3 x 3 covariance, written out by its cofactors.
    c00, c01, c02 = gg * bb - gb * gb, rb * gb - rg * bb, rg * gb - rb * gg
    c11, c12, c22 = rr * bb - rb * rb, rg * rb - rr * gb, rr * gg - rg * rg
    scale = 1 / (rr * c00 + rg * c01 + rb * c02)
    slopes = [
        _mean((x * rt + y * gt + z * bt) * scale)
        for x, y, z in ((c00, c01, c02), (c01, c11, c12), (c02, c12, c22))
    ]
    offset = slopes[0] * red + slopes[1] * green + slopes[2] * blue
    return np.dstack([*slopes, offset * np.float32(-1 / 255)])


def _mean(plane: Any) -> Any:
    side = 2 * _RADIUS + 1
    return cv2.blur(plane, (side, side))

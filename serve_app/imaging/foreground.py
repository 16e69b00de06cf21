"""The subject's own colour on soft pixels, without what the old background mixed in.

After blur fusion (Forte, "Approximate Fast Foreground Colour Estimation", ICIP 2021): local means
of foreground and background, weighted with alpha, then a correction that makes the compositing
equation hold; from wide means to narrow ones. Two changes roughly halve its error on composites of
known colour: the rest is shared between both colours, as the least change that does it, and means
weigh pure pixels more than mixed ones. Means are smooth and are worked out on a small image; the
last correction is applied to the full one, so its detail stays.
"""

from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from serve_app.imaging.windows import Window, enlarge, for_each, soft_mask, windows, with_margin
from serve_app.types import Array, Size

_Float: TypeAlias = NDArray[np.float32]

_SIDE = 512  # px, longest side of the small image; 800 is no better and 400 hardly worse

# How far the small image is shrunk further, side of the box (px at that scale) and power of the
# weights, pass by pass. The first looks for pure pixels far away, where an eighth says as much.
_WIDE_PASSES = ((8, 12, 4), (4, 8, 2), (2, 6, 2))
_LAST_PASS = (4, 2)  # at the small image's own scale and near soft pixels only
_NEAR = np.ones((5, 5), np.uint8)  # enlarging looks that far
_TRACE = np.float32(1e-5)  # the weight of a wider mean in a narrower one


def estimate_foreground(image: Array, alpha: Array, shown: Array | None = None) -> Array:
    """Estimate the foreground colour, uint8 `[H, W, 3]` sRGB, of `image` under `alpha` `[H, W]`.

    `alpha` says how much of each pixel of the photo is the subject, and `shown` `[H, W]` how much
    will be seen of it, where that is another matte: one eroded or feathered says nothing of the
    photo. Only pixels that are shown soft (1-254) change; without any, `image` itself comes back.
    """
    shown = alpha if shown is None else shown
    soft = soft_mask(shown)
    if not soft.any():
        return image
    means = _means(image, alpha, shown)
    out = image.copy()

    def fill(window: Window) -> None:
        front, back = (enlarge(mean, alpha.shape, window) for mean in means)
        weights = _as_weights(alpha[window])
        rest = _rest(image[window], front, back, weights)
        rest *= weights
        colour = cv2.add(front, rest, dtype=cv2.CV_8U)  # rounded and clipped as it is written
        cv2.copyTo(colour, soft[window], out[window])

    for_each(fill, windows(soft))
    return out


def _means(image: Array, alpha: Array, shown: Array) -> tuple[_Float, _Float]:
    """Return local means of foreground and background, float32 `[h, w, 3]`, 0-255.

    Far from soft pixels, where nobody needs them, they stay as wide as they come.
    """
    colour, matte = _at_side(image, alpha, min(_SIDE, max(alpha.shape)))
    wide = _wide_means(colour, matte)
    front, back = (_resized(mean, colour) for mean in wide)
    means = front.copy(), back.copy()
    px, power = _LAST_PASS
    seen = matte if shown is alpha else _scaled(shown, colour.shape[:2])
    near = np.asarray(cv2.dilate(soft_mask(seen), _NEAR), np.uint8)
    for window in windows(near):
        around, inner = with_margin(window, px)
        weights = _as_weights(matte[around])
        parts = _correct(colour[around], front[around], back[around], weights)
        for mean, part in zip(means, _pass(*parts, weights, px, power), strict=True):
            mean[window] = part[inner]
    return means


def _wide_means(image: _Float, alpha: Array) -> tuple[_Float, _Float]:
    """Return means over wide boxes, at half of the size."""
    side = max(alpha.shape)
    front, _ = _at_side(image, alpha, max(1, side // _WIDE_PASSES[0][0]))
    back = front
    for shrunk, px, power in _WIDE_PASSES:
        colour, matte = _at_side(image, alpha, max(1, side // shrunk))
        weights = _as_weights(matte)
        front, back = _correct(colour, _resized(front, colour), _resized(back, colour), weights)
        front, back = _pass(front, back, weights, px, power)
    return front, back


def _at_side(image: Array | _Float, alpha: Array, side: int) -> tuple[_Float, Array]:
    """Return the colour as float32, 0-255, and the alpha, scaled to a longest side."""
    scale = side / max(alpha.shape)
    height, width = (max(1, round(length * scale)) for length in alpha.shape)
    colour, matte = (_scaled(array, (height, width)) for array in (image, alpha))
    return colour.astype(np.float32), np.asarray(matte, np.uint8)


def _scaled(array: Array | _Float, size: Size) -> Array:
    return np.asarray(cv2.resize(array, size[::-1], interpolation=cv2.INTER_AREA))


def _resized(mean: _Float, like: _Float) -> _Float:
    size = like.shape[1], like.shape[0]
    return np.asarray(cv2.resize(mean, size, interpolation=cv2.INTER_LINEAR), np.float32)


def _pass(
    front: _Float, back: _Float, weights: _Float, px: int, power: int
) -> tuple[_Float, _Float]:
    return _mean(front, weights, px, power), _mean(back, 1 - weights, px, power)


def _mean(colour: _Float, weights: _Float, px: int, power: int) -> _Float:
    # Where a box has nothing else to take a mean of, the wider one before it shows through.
    weights = np.asarray(cv2.pow(weights, power), np.float32) + _TRACE
    total = cv2.blur(weights, (px, px))
    return np.asarray(cv2.blur(colour * weights, (px, px)) / total, np.float32)


def _correct(
    image: Array | _Float, front: _Float, back: _Float, alpha: _Float
) -> tuple[_Float, _Float]:
    """Change both colours, as little as it takes, to `alpha * front + (1 - alpha) * back = image`.

    Clipped to 0-255, where the equation may be missed.
    """
    rest = _rest(image, front, back, alpha)
    for_front = rest * alpha
    rest -= for_front
    for changed, colour in ((for_front, front), (rest, back)):
        np.add(changed, colour, out=changed)
        np.minimum(np.maximum(changed, 0, out=changed), 255, out=changed)
    return for_front, rest


def _rest(image: Array | _Float, front: _Float, back: _Float, alpha: _Float) -> _Float:
    """Return what of `image` both colours leave open, over the sum of their squared shares."""
    rest = front - back
    rest *= alpha
    rest += back
    np.subtract(image, rest, out=rest)
    squares = alpha - np.float32(1)
    squares *= alpha
    squares += squares  # alpha^2 + (1 - alpha)^2 = 1 - 2 alpha (1 - alpha)
    squares += np.float32(1)
    rest /= squares
    return rest


def _as_weights(alpha: Array) -> _Float:
    """Return `[h, w, 3]`, 0-1: three equal channels are faster than broadcasting one."""
    return np.asarray(cv2.cvtColor(alpha, cv2.COLOR_GRAY2RGB) * np.float32(1 / 255), np.float32)

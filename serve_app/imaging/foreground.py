"""The subject's own colour on soft pixels, without what the old background mixed in.

After blur fusion (Forte, "Approximate Fast Foreground Colour Estimation", ICIP 2021): local means
of foreground and background, weighted with alpha, then a correction that makes the compositing
equation hold; from wide means to narrow ones. Two changes roughly halve its error on composites of
known colour: the rest is shared between both colours, as the least change that does it, and means
weigh pure pixels more than mixed ones. Means are smooth and are worked out on a small image; the
last correction is applied to the full one, so its detail stays.
"""

from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from serve_app.imaging.windows import enlarge, soft_mask, windows
from serve_app.types import Array

_Float: TypeAlias = NDArray[np.float32]

_SIDE = 512  # px, longest side of the small image; 800 is no better and 400 hardly worse

# Side of the box (px at that size) and power of the weights, pass by pass. The first pass looks
# for pure pixels far away; the last follows what is local.
_PASSES = ((96, 4), (32, 2), (12, 2), (4, 2))


def estimate_foreground(image: Array, alpha: Array) -> Array:
    """Estimate the foreground colour, uint8 `[H, W, 3]` sRGB, of `image` under `alpha` `[H, W]`.

    Only soft pixels (alpha 1-254) change; where there are none, `image` itself comes back.
    """
    soft = soft_mask(alpha)
    if not soft.any():
        return image
    means = _means(image, alpha)
    out = image.copy()
    for window in windows(soft):
        front, back = (enlarge(mean, alpha.shape, window) for mean in means)
        colour, _ = _correct(image[window], front, back, _as_weights(alpha[window]))
        cv2.copyTo(cv2.convertScaleAbs(colour), soft[window], out[window])
    return out


def _means(image: Array, alpha: Array) -> tuple[_Float, _Float]:
    """Return local means of foreground and background, float32 `[h, w, 3]`, 0-255."""
    scale = min(1.0, _SIDE / max(alpha.shape))
    small = tuple(max(1, round(side * scale)) for side in reversed(alpha.shape))
    colour = cv2.resize(image, small, interpolation=cv2.INTER_AREA).astype(np.float32)
    weights = _as_weights(
        np.asarray(cv2.resize(alpha, small, interpolation=cv2.INTER_AREA), np.uint8)
    )
    mean_front = mean_back = front = back = colour
    for px, power in _PASSES:
        mean_front = _mean(front, cv2.pow(weights, power), px)
        mean_back = _mean(back, cv2.pow(1 - weights, power), px)
        front, back = _correct(colour, mean_front, mean_back, weights)
    return mean_front, mean_back


def _mean(colour: Any, weights: Any, px: int) -> _Float:
    total = cv2.blur(weights, (px, px)) + np.float32(1e-5)
    return np.asarray(cv2.blur(colour * weights, (px, px)) / total, np.float32)


def _correct(
    image: Array | _Float, front: _Float, back: _Float, alpha: _Float
) -> tuple[_Float, _Float]:
    """Change both colours, as little as it takes, to `alpha * front + (1 - alpha) * back = image`.

    Clipped to 0-255, where the equation may be missed.
    """
    clear = 1 - alpha
    rest = (image - alpha * front - clear * back) / (alpha * alpha + clear * clear)
    return np.clip(front + alpha * rest, 0, 255), np.clip(back + clear * rest, 0, 255)


def _as_weights(alpha: Array) -> _Float:
    """Return `[h, w, 3]`, 0-1: three equal channels are faster than broadcasting one."""
    return np.asarray(cv2.cvtColor(alpha, cv2.COLOR_GRAY2RGB) * np.float32(1 / 255), np.float32)

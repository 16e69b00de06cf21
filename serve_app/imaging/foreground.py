"""The subject's own colour on soft pixels, without what the old background mixed in.

Blur fusion, twice (Forte, "Approximate Fast Foreground Colour Estimation", ICIP 2021): local means
of foreground and background, weighted with alpha, then a correction that makes the compositing
equation hold. The means are smooth and are worked out on a small image; the correction is applied
to the full one, so its detail stays.
"""

from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from serve_app.imaging.windows import enlarge, soft_mask, windows
from serve_app.types import Array

_Float: TypeAlias = NDArray[np.float32]

_SIDE = 512  # px, longest side of the small image; 800 is no better and 400 hardly worse
_WIDE = 48  # px of the first mean at that size: finds sure colours far from the edge
_NARROW = 6  # px of the second: follows what is local


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
        colour = _correct(image[window], front, back, _as_weights(alpha[window]))
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
    front, back = _local_means(colour, colour, weights, _WIDE)
    front = _correct(colour, front, back, weights)
    return _local_means(front, back, weights, _NARROW)


def _local_means(front: _Float, back: _Float, alpha: _Float, px: int) -> tuple[_Float, _Float]:
    box = (px, px)
    weight = cv2.blur(alpha, box)
    mean_front = cv2.blur(front * alpha, box) / (weight + 1e-5)
    mean_back = cv2.blur(back * (1 - alpha), box) / (1 - weight + 1e-5)
    return mean_front, mean_back


def _correct(image: Array | _Float, front: _Float, back: _Float, alpha: _Float) -> _Float:
    """Move `front` so that `alpha * front + (1 - alpha) * back` comes closer to `image`."""
    rest = image - back - alpha * (front - back)
    return np.asarray(np.clip(front + alpha * rest, 0, 255), np.float32)


def _as_weights(alpha: Array) -> _Float:
    """Return `[h, w, 3]`, 0-1: three equal channels are faster than broadcasting one."""
    return np.asarray(cv2.cvtColor(alpha, cv2.COLOR_GRAY2RGB) * np.float32(1 / 255), np.float32)

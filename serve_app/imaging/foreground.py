"""The subject's own colour on soft pixels, without what the old background mixed in.

Blur fusion, twice (Forte, "Approximate Fast Foreground Colour Estimation", ICIP 2021): local means
of foreground and background, weighted with alpha, then a correction that makes the compositing
equation hold.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from serve_app.types import Array

_Float = NDArray[np.float32]

_WIDE = 90  # px of the first pass: finds sure colours far from the edge
_NARROW = 6  # px of the second pass: follows what is local


def estimate_foreground(image: Array, alpha: Array) -> Array:
    """Estimate the foreground colour, uint8 `[H, W, 3]` sRGB, of `image` under `alpha` `[H, W]`.

    Only soft pixels (alpha 1-254) change; the others are `image`'s own.
    """
    soft = (alpha > 0) & (alpha < 255)
    if not soft.any():
        return image
    a = (alpha * np.float32(1 / 255))[..., None]
    colour = image.astype(np.float32)
    front, back = _fuse(colour, colour, colour, a, _WIDE)
    front, _ = _fuse(colour, front, back, a, _NARROW)
    return np.where(soft[..., None], np.rint(front).astype(np.uint8), image)


def _fuse(
    image: _Float, front: _Float, back: _Float, alpha: _Float, px: int
) -> tuple[_Float, _Float]:
    box = (px, px)
    weight = cv2.blur(alpha, box)[..., None]
    mean_front = cv2.blur(front * alpha, box) / (weight + 1e-5)
    mean_back = cv2.blur(back * (1 - alpha), box) / (1 - weight + 1e-5)
    front = mean_front + alpha * (image - alpha * mean_front - (1 - alpha) * mean_back)
    return np.clip(front, 0, 255), mean_back

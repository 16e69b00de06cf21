"""Bring an alpha up to the image's full resolution, following the image's edges.

The fast guided filter (He & Sun, "Fast Guided Filter", 2015) solves a local linear model
`alpha = a * guide + b` at the small size and applies it, two multiply-adds a pixel, at full size.
"""

from typing import Literal

import cv2
import numpy as np

from serve_app.types import Array, Size

_RADIUS = 2  # px at the small size: how far one linear model reaches
_EPSILON = 1e-4  # variance of the guide (0-1) below which an area counts as flat


def upsample_alpha(
    alpha: Array, image: Array, size: Size, method: Literal["none", "guided"]
) -> Array:
    """Scale `alpha` `[h, w]` up to `size`, uint8 `[H, W]`.

    `image` is uint8 `[H, W, 3]` sRGB of the same `size`. `none` is bicubic; `guided` follows the
    image's edges where alpha is soft. Areas that are 0 or 255 all around stay exactly so.
    """
    if alpha.shape == size:
        return alpha
    plain = cv2.resize(alpha, size[::-1], interpolation=cv2.INTER_CUBIC)
    if method == "none":
        return np.asarray(plain, np.uint8)
    return _guided(alpha, image, np.asarray(plain, np.uint8))


def _guided(alpha: Array, image: Array, plain: Array) -> Array:
    small, full = alpha.shape[::-1], plain.shape[::-1]
    guide = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    low = cv2.resize(guide, small, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    target = alpha.astype(np.float32) / 255
    box = (2 * _RADIUS + 1, 2 * _RADIUS + 1)
    mean_guide, mean_target = cv2.blur(low, box), cv2.blur(target, box)
    variance = cv2.blur(low * low, box) - mean_guide * mean_guide
    covariance = cv2.blur(low * target, box) - mean_guide * mean_target
    a = covariance / (variance + _EPSILON)
    b = mean_target - a * mean_guide
    slope, offset = (cv2.resize(cv2.blur(x, box), full) for x in (a, b))
    refined = np.clip(np.rint(slope * guide + offset * 255), 0, 255).astype(np.uint8)
    soft = ((alpha > 0) & (alpha < 255)).view(np.uint8)
    band = cv2.resize(cv2.dilate(soft, np.ones((3, 3))), full, interpolation=cv2.INTER_NEAREST)
    return np.where(band > 0, refined, plain)

"""Other ways to bring an alpha to full resolution, to compare ours with.

Each takes an alpha uint8 `[h, w]` and the image uint8 `[H, W, 3]` sRGB, and gives uint8 `[H, W]`.
"""

from collections.abc import Callable

import cv2
import numpy as np

from serve_app.imaging.refine import upsample_alpha
from serve_app.types import Array

Method = Callable[[Array, Array], Array]

_SPATIAL = 0.8  # px at the small size: joint bilateral upsampling's sigma in space
_RANGE = 12.0  # its sigma in colour, 8-bit levels
_RADIUS = 1  # px at the small size: the guided filter's box
_EPSILON = 3e-4 * 255**2  # its regularisation, as ours


def bilinear(alpha: Array, image: Array) -> Array:
    return _resized(alpha, image, cv2.INTER_LINEAR)


def bicubic(alpha: Array, image: Array) -> Array:
    return upsample_alpha(alpha, image, image.shape[:2], "none")


def ours(alpha: Array, image: Array) -> Array:
    return upsample_alpha(alpha, image, image.shape[:2], "guided")


def joint_bilateral(alpha: Array, image: Array) -> Array:
    """Kopf et al., "Joint Bilateral Upsampling", SIGGRAPH 2007, over 5 x 5 small pixels."""
    size = image.shape[:2]
    colour = cv2.resize(image, alpha.shape[::-1], interpolation=cv2.INTER_AREA).astype(np.float32)
    y, x = (
        (np.arange(full, dtype=np.float32) + 0.5) * small / full - 0.5
        for full, small in zip(size, alpha.shape, strict=True)
    )
    near_y, near_x = np.rint(y).astype(int), np.rint(x).astype(int)
    total, weights = np.zeros(size, np.float32), np.full(size, 1e-12, np.float32)
    for down in range(-2, 3):
        rows = np.clip(near_y + down, 0, alpha.shape[0] - 1)
        for across in range(-2, 3):
            columns = np.clip(near_x + across, 0, alpha.shape[1] - 1)
            apart = (near_y + down - y)[:, None] ** 2 + (near_x + across - x)[None] ** 2
            unlike = ((image - colour[rows][:, columns]) ** 2).sum(-1)
            weight = np.exp(-apart / (2 * _SPATIAL**2) - unlike / (2 * _RANGE**2))
            total += weight * alpha[rows][:, columns]
            weights += weight
    return np.rint(total / weights).clip(0, 255).astype(np.uint8)


def guided_filter(alpha: Array, image: Array) -> Array:
    """He & Sun, "Fast Guided Filter", 2015: the whole alpha is a linear function of colour."""
    size = image.shape[:2]
    guide = cv2.resize(image, alpha.shape[::-1], interpolation=cv2.INTER_AREA).astype(np.float64)
    target = alpha.astype(np.float64)
    mean, mean_target = _box(guide), _box(target)
    outer = guide[..., :, None] * guide[..., None, :]
    covariance = _box(outer.reshape(*alpha.shape, 9)).reshape(outer.shape)
    covariance += _EPSILON * np.eye(3) - mean[..., :, None] * mean[..., None, :]
    cross = _box(guide * target[..., None]) - mean * mean_target[..., None]
    slopes = np.linalg.solve(covariance, cross[..., None])[..., 0]
    offset = mean_target - (slopes * mean).sum(-1)
    slopes, offset = (
        cv2.resize(_box(part), size[::-1], interpolation=cv2.INTER_LINEAR)
        for part in (slopes, offset)
    )
    return np.rint((slopes * image).sum(-1) + offset).clip(0, 255).astype(np.uint8)


METHODS: dict[str, Method] = {
    "bicubic": bicubic,
    "bilinear": bilinear,
    "joint bilateral": joint_bilateral,
    "guided filter": guided_filter,
    "ours": ours,
}


def _resized(alpha: Array, image: Array, method: int) -> Array:
    size = image.shape[1], image.shape[0]
    return np.asarray(cv2.resize(alpha, size, interpolation=method), np.uint8)


def _box(array: np.ndarray) -> np.ndarray:
    side = 2 * _RADIUS + 1
    return cv2.blur(array, (side, side))

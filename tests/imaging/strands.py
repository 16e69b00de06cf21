"""A subject with hair, its composite and its trimap."""

import cv2
import numpy as np

from serve_app.types import BACKGROUND, FOREGROUND, UNKNOWN

_CENTRE = np.array([320, 240])
_ROOTS, _TIPS = 110, 200  # px from the centre


def strands() -> np.ndarray:
    """A disc with strands 2-3 px wide: uint8 `[480, 640]`."""
    alpha = np.zeros((480, 640), np.uint8)
    cv2.circle(alpha, _CENTRE.tolist(), _ROOTS + 10, 255, -1)
    for angle in np.linspace(0, 2 * np.pi, 120, endpoint=False):
        direction = np.array([np.cos(angle), np.sin(angle)])
        ends = [np.rint(_CENTRE + direction * r).astype(int).tolist() for r in (_ROOTS, _TIPS)]
        cv2.line(alpha, *ends, 255, 2, cv2.LINE_AA)
    return cv2.GaussianBlur(alpha, (3, 3), 0)


def composite_of(alpha: np.ndarray) -> np.ndarray:
    """Dark before a lighter wall, both a little noisy."""
    a = alpha[..., None] / 255
    noise = np.random.default_rng(0).normal(0, 2, (*alpha.shape, 3))
    return np.clip(a * (60, 40, 30) + (1 - a) * (170, 190, 210) + noise, 0, 255).astype(np.uint8)


def trimap_around(alpha: np.ndarray) -> np.ndarray:
    """What a user would paint: the head known, its hair not."""
    y, x = np.mgrid[: alpha.shape[0], : alpha.shape[1]]
    distance = np.hypot(x - _CENTRE[0], y - _CENTRE[1])
    trimap = np.where(distance < _ROOTS - 5, FOREGROUND, UNKNOWN)
    return np.where(distance > _TIPS + 10, BACKGROUND, trimap).astype(np.uint8)

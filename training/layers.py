"""Layers: what was drawn, float32 [H, W, 4], R, G, B and alpha 0-1, premultiplied (Porter & Duff,
1984).
"""

import cv2
import numpy as np

from training.data import carry_on


def base(
    image: np.ndarray, alpha: np.ndarray, sigma: float = 0.8, inset: float = 0.5
) -> np.ndarray:
    """The cutout itself as a layer, its hard edge drawn in by `inset` of a blur and smoothed."""
    matte = cv2.GaussianBlur(alpha.astype(np.float32) / 255, (0, 0), sigma)
    return layered(image, ((matte - inset) / (1 - inset)).clip(0, 1))


def layered(image: np.ndarray, matte: np.ndarray) -> np.ndarray:
    """Colour uint8 HWC and alpha 0-1 HW as a layer."""
    return np.dstack([image * (matte[..., None] / np.float32(255)), matte]).astype(np.float32)


def over(front: np.ndarray, back: np.ndarray) -> np.ndarray:
    """One layer over another."""
    return front + back * (1 - front[..., 3:])


def straight(layer: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Colour and alpha, uint8, of a premultiplied layer."""
    alpha = np.rint(layer[..., 3].clip(0, 1) * 255).astype(np.uint8)
    colour = layer[..., :3] / np.maximum(layer[..., 3:], 1e-6)
    colour = np.rint(colour.clip(0, 1) * 255).astype(np.uint8)
    return carry_on(colour, alpha), alpha

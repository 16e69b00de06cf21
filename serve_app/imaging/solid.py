"""A matte without translucent areas: windows and veils become solid, haze goes, the outline stays.

Alphas are uint8 `[H, W]`; a pixel belongs to the subject where it is more than half there.
"""

import cv2
import numpy as np

from serve_app.types import Array

_HALF = 128
_SEEN = 8  # alpha below it is background
_RIM = 0.005  # how wide the soft outline may be, in parts of the longest side; at least 3 px


def make_solid(alpha: Array) -> Array:
    """Bring alpha to 255 within the subject and to 0 outside, but for a soft rim between them.

    A translucent area that the subject encloses, as a car does its windows, is part of it.
    """
    subject = _with_windows(alpha)
    rim = max(3.0, _RIM * max(alpha.shape))
    # Straight lines across the rim: alpha is at least the one within, at most the other outside.
    least, most = _depth(subject, rim), 255 - _depth(1 - subject, rim)
    inside, outside = np.maximum(alpha, least), np.minimum(alpha, most)
    return np.where(subject == 1, inside, outside)


def _depth(mask: Array, rim: float) -> Array:
    """0 at the mask's border and outside, rising to 255 at `rim` px within it."""
    distance = np.minimum(cv2.distanceTransform(mask, cv2.DIST_L2, 5), rim + 1)
    return np.clip((distance - 1) * (255 / rim), 0, 255).astype(np.uint8)


def _with_windows(alpha: Array) -> Array:
    """1 where the subject is more than half there, and in areas within it that are never empty."""
    thin = (alpha < _HALF).view(np.uint8)
    count, labels = cv2.connectedComponents(thin, connectivity=4)
    open_to_background = np.zeros(count, bool)
    open_to_background[labels[(alpha < _SEEN)]] = True
    open_to_background[np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])] = True
    open_to_background[0] = False  # label 0 is the subject itself
    return np.asarray(~open_to_background[labels], np.uint8)

"""Faint islands beside the subject, where a network saw a little of something that is not there.

On a plain background they are specks and haze, and a crop would reach for them.
"""

import cv2
import numpy as np

from serve_app.imaging.cells import highest, label, spread
from serve_app.imaging.matte import SUBJECT, VISIBLE
from serve_app.types import Array

_LARGE = 0.1  # of the largest thing's area: what is larger may be a glass of its own
_AROUND = np.ones((3, 3), np.uint8)


def clear_islands(alpha: Array) -> Array:
    """Set faint islands of `alpha`, uint8 `[H, W]`, to 0; the same array where there are none.

    An island is faint if it is nowhere a quarter opaque and less than a tenth as large as the
    largest thing. A strand that is broken off, with no whole cell between it and the subject, is
    none.
    """
    if not alpha.any():
        return alpha
    most = highest(alpha)
    count, labels = label((most >= VISIBLE).view(np.uint8))
    if count < 3:  # the background and one thing
        return alpha
    areas = np.bincount(labels.ravel(), minlength=count)
    faint = areas < _LARGE * areas[1:].max()
    faint[labels[most >= SUBJECT]] = False
    faint[0] = False  # the background
    if not faint.any():
        return alpha
    # One cell wider: no other thing is next to it, and what is too faint to be seen goes with it.
    doomed = np.asarray(cv2.dilate(faint[labels].view(np.uint8), _AROUND), np.uint8)
    return np.asarray(cv2.copyTo(alpha, spread(1 - doomed, alpha.shape)), np.uint8)

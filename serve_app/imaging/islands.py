"""Faint islands beside the subject, where a network saw a little of something that is not there.

On a plain background they are specks and haze, and a crop would reach for them.
"""

import cv2
import numpy as np

from serve_app.imaging.matte import SUBJECT, VISIBLE
from serve_app.types import Array

_SIDE = 256  # cells, longest side of the grid on which islands are told apart
_LARGE = 0.1  # of the largest thing's area: what is larger may be a glass of its own


def clear_islands(alpha: Array) -> Array:
    """Set faint islands of `alpha`, uint8 `[H, W]`, to 0; the same array where there are none.

    An island is faint if it is nowhere a quarter opaque and less than a tenth as large as the
    largest thing. A strand that is broken off, with no whole cell between it and the subject, is
    none.
    """
    cells = _cells(alpha, VISIBLE)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(cells, connectivity=8)
    if count < 3:  # the background and one thing
        return alpha
    areas = stats[:, cv2.CC_STAT_AREA]
    faint = areas < _LARGE * areas[1:].max()
    faint[labels[_cells(alpha, SUBJECT) > 0]] = False
    faint[0] = False  # the background
    if not faint.any():
        return alpha
    # One cell wider: no other thing is next to it, and what is too faint to be seen goes with it.
    doomed = cv2.dilate(faint[labels].view(np.uint8), np.ones((3, 3), np.uint8))
    kept = cv2.resize(1 - doomed, alpha.shape[::-1], interpolation=cv2.INTER_NEAREST)
    return np.asarray(cv2.copyTo(alpha, kept), np.uint8)


def _cells(alpha: Array, least: int) -> Array:
    """Return a grid over `alpha`, above 0 where a cell holds a pixel of at least `least`."""
    mask = cv2.threshold(alpha, least - 1, 255, cv2.THRESH_BINARY)[1]
    factor = min(1.0, _SIDE / max(alpha.shape))
    size = tuple(max(1, round(side * factor)) for side in reversed(alpha.shape))
    return np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_AREA), np.uint8)

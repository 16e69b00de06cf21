"""Dents: spots within a solid subject of which a network is not quite sure.

On another background they let it shine through, as a stain.
"""

import cv2
import numpy as np

from serve_app.imaging.cells import label, lowest, spread
from serve_app.types import Array

_SOLID = 250
"""Of 255: nothing behind is seen through it."""

_SHALLOW = 200
"""Of 255: glass and hair are somewhere thinner than that."""


def fill_dents(alpha: Array) -> Array:
    """Set dents of `alpha`, uint8 `[H, W]`, to 255; the same array where there are none.

    A dent is enclosed by what is solid and is nowhere less than 200 of 255. One that reaches the
    image's border may be open there, and is left.
    """
    least = lowest(alpha)
    count, labels = label((least < _SOLID).view(np.uint8))
    dent = np.ones(count, bool)
    dent[0] = False  # what is solid
    dent[labels[least < _SHALLOW]] = False
    for border in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        dent[border] = False
    if not dent.any():
        return alpha
    filled = spread(dent[labels].view(np.uint8) * np.uint8(255), alpha.shape)
    return np.asarray(cv2.bitwise_or(alpha, filled), np.uint8)

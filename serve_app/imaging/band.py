"""Where a trimap is given: alpha in its unknown band, from the network and from colours.

Far from all that is known, as between a few strokes, colours have nothing to be compared with:
there the network's alpha stays.
"""

from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from serve_app.imaging.colour_flow import flow
from serve_app.imaging.evidence import evidence
from serve_app.imaging.matte import honour_trimap
from serve_app.imaging.weighing import weigh
from serve_app.types import BACKGROUND, FOREGROUND, UNKNOWN, Array

_Float: TypeAlias = NDArray[np.float32]

_NEAR, _FAR = 0.06, 0.12
"""Of the longest side: to the nearest known pixel, where the network begins and ends to stay."""


def solve_band(alpha: Array, image: Array, trimap: Array) -> Array:
    """Return `alpha` with the trimap's known pixels put in and its unknown ones solved.

    All are of the network's size: uint8 `[h, w]`, `[h, w, 3]` sRGB and `[h, w]`. A trimap that
    knows one kind alone, or next to nothing, leaves nothing to solve from.
    """
    held = honour_trimap(alpha, trimap)
    if not all((trimap == kind).any() for kind in (BACKGROUND, UNKNOWN, FOREGROUND)):
        return held
    found = flow(image, trimap, held)
    if found is None:
        return held
    band = trimap == UNKNOWN
    network = alpha[band].astype(np.float32)
    solved = 255 * weigh(evidence(alpha, trimap, found))
    held[band] = np.rint(network + _say(band) * (solved - network))
    return held


def _say(band: NDArray[np.bool_]) -> _Float:
    """How far each unknown pixel is to be solved, 0-1."""
    away = cv2.distanceTransform(band.view(np.uint8), cv2.DIST_L2, 5)[band] / max(band.shape)
    return np.asarray(np.clip((_FAR - away) / (_FAR - _NEAR), 0, 1), np.float32)

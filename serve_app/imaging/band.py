"""Where a trimap is given: alpha in its unknown band, from the network and from colours."""

import numpy as np

from serve_app.imaging.colour_flow import flow
from serve_app.imaging.evidence import evidence
from serve_app.imaging.matte import honour_trimap
from serve_app.imaging.weighing import weigh
from serve_app.types import BACKGROUND, FOREGROUND, UNKNOWN, Array


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
    held[trimap == UNKNOWN] = np.rint(255 * weigh(evidence(alpha, trimap, found)))
    return held

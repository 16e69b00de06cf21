"""Where a trimap is given: the network's alpha, solved anew in hair and where it is contradicted.

Closed-form matting knows nothing but colours next to each other. Of hair and fur, with a trimap on
both sides of it, it makes more than the network does; of a plain edge, or of a subject that
resembles what is behind it, much less. So it has a say only

- where much around a pixel is soft in the network's own eyes: an edge is a thin line, hair an area;
- where the network calls foreground what the trimap calls background nearby, or the other way
  round: then it took something else for the subject.
"""

from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from serve_app.imaging.closed_form import solve_alpha
from serve_app.imaging.matte import honour_trimap
from serve_app.types import BACKGROUND, FOREGROUND, UNKNOWN, Array

_Float: TypeAlias = NDArray[np.float32]

# Over each of these ranges what is solved goes from no say to all of it.
_SOFT = (0.25, 0.35)  # mean of 4 alpha (1 - alpha), 1 where alpha is a half
_WRONG = (0.2, 0.35)  # mean difference from known pixels
_SOFT_REACH = 8  # px of the network's view
_WRONG_REACH = 20
_FEW = 0.02  # of a window: known pixels that are fewer say less


def solve_soft_areas(alpha: Array, image: Array, trimap: Array) -> Array:
    """Return `alpha` with the trimap's known pixels put in and soft areas solved.

    All are of the network's size: uint8 `[h, w]`, `[h, w, 3]` sRGB and `[h, w]`. A trimap that
    knows one kind alone has nothing to solve from.
    """
    held = honour_trimap(alpha, trimap)
    if not (trimap == FOREGROUND).any() or not (trimap == BACKGROUND).any():
        return held
    unknown = trimap == UNKNOWN
    say = np.maximum(_softness(held, unknown), _contradiction(alpha, trimap)) * unknown
    if not say.any():
        return held
    solved = solve_alpha(image, trimap, held)
    return np.asarray(np.rint(held + say * (solved * 255 - held)), np.uint8)


def _softness(alpha: Array, unknown: NDArray[np.bool_]) -> _Float:
    share = alpha * np.float32(1 / 255)
    return _ramp(_mean(4 * share * (1 - share) * unknown, _SOFT_REACH), _SOFT)


def _contradiction(alpha: Array, trimap: Array) -> _Float:
    known = (trimap != UNKNOWN).astype(np.float32)
    wrong = cv2.absdiff(alpha, trimap) * known * np.float32(1 / 255)
    seen = np.maximum(_mean(known, _WRONG_REACH), np.float32(_FEW))
    return _ramp(np.asarray(_mean(wrong, _WRONG_REACH) / seen, np.float32), _WRONG)


def _mean(array: _Float, reach: int) -> _Float:
    return np.asarray(cv2.blur(array, (2 * reach + 1,) * 2), np.float32)


def _ramp(array: _Float, ends: tuple[float, float]) -> _Float:
    low, high = ends
    return np.asarray(np.clip((array - low) / (high - low), 0, 1), np.float32)

"""A shadow under the subject, made from its matte alone.

Densities and alphas are uint8 `[H, W]`. Nothing fine is left in a shadow, so it is worked out
small.
"""

from typing import Literal

import cv2
import numpy as np

from serve_app.types import Array, Box

_SMALL = 384  # px, longest side at which a shadow is blurred
_OFFSET, _SOFT = 0.04, 0.025  # of the subject's longest side
_FLAT = 0.12  # height of a ground shadow, in parts of the subject's


def cast_shadow(alpha: Array, subject: Box, kind: Literal["drop", "ground"]) -> Array:
    """Return a shadow's density: `drop` falls to the lower right, `ground` lies at the feet.

    Zero everywhere where there is no subject.
    """
    if not subject.width:
        return np.zeros_like(alpha)
    factor = min(1.0, _SMALL / max(alpha.shape))
    small = (max(1, round(alpha.shape[1] * factor)), max(1, round(alpha.shape[0] * factor)))
    length = max(subject.height, subject.width) * factor
    flat = _FLAT if kind == "ground" else 1.0
    foot = (subject.top + subject.height) * factor
    shift = _OFFSET * length if kind == "drop" else 0.0
    # A ground shadow is the subject laid flat, half of it before the feet and half behind.
    down = shift if kind == "drop" else foot * (1 - flat) + flat * subject.height * factor / 2
    matrix = np.array([[1, 0, shift], [0, flat, down]], np.float32)
    matte = cv2.resize(alpha, small, interpolation=cv2.INTER_AREA)
    moved = cv2.warpAffine(matte, matrix, small, flags=cv2.INTER_LINEAR)
    soft = cv2.GaussianBlur(moved, (0, 0), max(0.5, _SOFT * length))
    return np.asarray(cv2.resize(soft, alpha.shape[::-1], interpolation=cv2.INTER_LINEAR), np.uint8)


def lay_under(color: Array, alpha: Array, shadow: Array, opacity: int) -> tuple[Array, Array]:
    """Put a black shadow of `opacity` percent under the subject.

    Takes and gives colour `[H, W, 3]` and its straight alpha; the alpha that comes back is the
    subject's and the shadow's together (Porter & Duff's `over`).
    """
    density = cv2.convertScaleAbs(shadow, alpha=opacity / 100)
    seen = cv2.multiply(255 - alpha, density, scale=1 / 255)
    total = cv2.add(alpha, seen)
    weight = np.asarray(cv2.divide(alpha, total, scale=255), np.uint8)
    weight[seen == 0] = 255  # nothing of the shadow there: the colour stays as it is
    darkened = cv2.multiply(color, cv2.cvtColor(weight, cv2.COLOR_GRAY2RGB), scale=1 / 255)
    return np.asarray(darkened, np.uint8), np.asarray(total, np.uint8)

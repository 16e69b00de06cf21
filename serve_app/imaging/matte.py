"""What is done to a finished matte: doubt, threshold, erode, feather, in this order; box, trimap.

Alphas are uint8 `[H, W]`, straight, 255 = foreground. Each step returns its input untouched where
there is nothing to do.
"""

import cv2
import numpy as np

from serve_app.types import BACKGROUND, FOREGROUND, UNKNOWN, Array, Box

VISIBLE = 8
"""Alpha below this (3 %) is not seen on any background and doesn't count for the subject's box."""

SUBJECT = 64
"""Of 255. What is nowhere a quarter opaque is a network's doubt, not even a glass."""

_BAND = 0.01  # half the width of a trimap's unknown band, in parts of the longest side


def clear_doubt(alpha: Array) -> Array:
    """Return 0 everywhere if alpha is nowhere a quarter opaque: then there is no subject."""
    if not alpha.size or alpha.max() >= SUBJECT:
        return alpha
    return np.zeros_like(alpha)


def threshold(alpha: Array, t: int) -> Array:
    """Set alpha below `t` (8-bit) to 0; keep everything else as it is."""
    if t <= 0:
        return alpha
    return np.asarray(cv2.threshold(alpha, t - 1, 0, cv2.THRESH_TOZERO)[1], np.uint8)


def erode(alpha: Array, px: int) -> Array:
    """Shrink the matte by `px` pixels: the least alpha within an ellipse of radius `px`.

    The image's border doesn't count as background, so a subject cut by the frame stays whole.
    """
    if px <= 0:
        return alpha
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * px + 1, 2 * px + 1))
    return np.asarray(cv2.erode(alpha, kernel), np.uint8)


def feather(alpha: Array, px: float) -> Array:
    """Soften the edge over `px` pixels to each side, with a Gaussian of sigma `px / 2`.

    A hard straight edge becomes a ramp with 2 % at `px` outside of it, 50 % on it and 98 % at `px`
    inside. The image's border is continued, so it gets no edge of its own.
    """
    if px <= 0:
        return alpha
    blurred = cv2.GaussianBlur(alpha, (0, 0), px / 2, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(blurred, np.uint8)


def honour_trimap(alpha: Array, known: Array | None) -> Array:
    """Put the given trimap's known pixels, 0 and 255, back into `alpha`; sizes must be equal."""
    if known is None:
        return alpha
    out = alpha.copy()
    out[known == BACKGROUND] = 0
    out[known == FOREGROUND] = 255
    return out


def bounding_box(alpha: Array) -> Box:
    """Return the smallest box around all pixels of at least VISIBLE; `Box(0, 0, 0, 0)` if none."""
    left, top, width, height = cv2.boundingRect((alpha >= VISIBLE).view(np.uint8))
    return Box(top, left, height, width) if width else Box(0, 0, 0, 0)


def trimap_of(alpha: Array) -> Array:
    """Make a trimap `[H, W]` of 0, 128 and 255: 128 wherever alpha is soft or changes, and near it.

    Near means within 1 % of the longest side, at least 2 px.
    """
    reach = max(2, round(_BAND * max(alpha.shape)))
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    changes = cv2.morphologyEx(alpha, cv2.MORPH_GRADIENT, cross) > 0
    uncertain = changes | ((alpha > 0) & (alpha < 255))
    trimap = np.where(alpha > 127, np.uint8(FOREGROUND), np.uint8(BACKGROUND))
    if uncertain.any():
        distance = cv2.distanceTransform((~uncertain).view(np.uint8), cv2.DIST_L2, 5)
        trimap[distance <= reach] = UNKNOWN
    return trimap

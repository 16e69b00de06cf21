"""A matte without translucent areas: windows and veils become solid, the outline stays soft."""

import cv2
import numpy as np

from serve_app.types import Array

_RIM = 0.004  # how wide the soft outline is, in parts of the longest side; at least 3 px
_OUTSIDE = 8  # alpha below it is background


def make_solid(alpha: Array) -> Array:
    """Raise translucent alpha `[H, W]` uint8 to 255 away from the background; never lower it.

    Within the rim, alpha rises in a straight line from the background to 255 or stays as it is,
    whichever is more.
    """
    soft = (alpha >= _OUTSIDE) & (alpha < 255)
    if not soft.any():
        return alpha
    rim = max(3.0, _RIM * max(alpha.shape))
    distance = cv2.distanceTransform((alpha >= _OUTSIDE).view(np.uint8), cv2.DIST_L2, 5)
    floor = np.clip((distance - 1) * (255 / rim), 0, 255).astype(np.uint8)
    return np.where(soft, np.maximum(alpha, floor), alpha)

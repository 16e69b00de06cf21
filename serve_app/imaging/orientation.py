"""EXIF orientation (CIPA DC-008, tag 0x0112): 1 is upright, 2-8 are turned or mirrored."""

import cv2
import numpy as np
from PIL import ExifTags, Image

from serve_app.types import Array

_UPRIGHT = 1

# What is still to be mirrored once 5-8 are transposed: -1 both axes, 0 rows, 1 columns.
_FLIP = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}


def orientation_of(image: Image.Image) -> int:
    """Return an opened image's EXIF orientation, 1-8; 1 where there is none or it is broken."""
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, _UPRIGHT)
    except Exception:  # broken EXIF raises anything; the image itself is fine
        return _UPRIGHT
    return value if isinstance(value, int) and 1 <= value <= 8 else _UPRIGHT


def upright(array: Array, orientation: int) -> Array:
    """Turn an array `[H, W]` or `[H, W, C]` stored with `orientation` upright."""
    if orientation >= 5:
        array = np.asarray(cv2.transpose(array), np.uint8)
    if orientation in _FLIP:
        array = np.asarray(cv2.flip(array, _FLIP[orientation]), np.uint8)
    return array

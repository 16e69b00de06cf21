"""EXIF orientation (CIPA DC-008, tag 0x0112): 1 is upright, 2-8 are turned or mirrored."""

import numpy as np
from PIL import ExifTags, Image

from serve_app.types import Array

_UPRIGHT = 1


def orientation_of(image: Image.Image) -> int:
    """Return an opened image's EXIF orientation, 1-8; 1 where there is none or it is broken."""
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, _UPRIGHT)
    except Exception:  # broken EXIF raises anything; the image itself is fine
        return _UPRIGHT
    return value if isinstance(value, int) and 1 <= value <= 8 else _UPRIGHT


def upright(array: Array, orientation: int) -> Array:
    """Turn an array `[H, W]` or `[H, W, C]` stored with `orientation` upright; contiguous."""
    if orientation >= 5:
        array = array.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    return np.ascontiguousarray(array)

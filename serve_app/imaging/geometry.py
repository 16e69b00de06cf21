"""How an image is brought to the network and its alpha back: scale down, pad right and below.

Images are uint8 `[H, W, 3]` sRGB, trimaps and alphas uint8 `[H, W]`; sizes `(height, width)`.
"""

import cv2
import numpy as np

from serve_app.errors import InvalidOption
from serve_app.types import BACKGROUND, FOREGROUND, UNKNOWN, Array, Geometry, Size


def plan(size: Size, max_side: int, step: int) -> Geometry:
    """Plan for an image of `size`: longest side at most `max_side`, padded to multiples of `step`.

    Never enlarges, keeps the aspect to the nearest pixel, and no side falls below 1. Raises
    InvalidOption if `size`, `max_side` or `step` is below 1.
    """
    if min(*size, max_side, step) < 1:
        raise InvalidOption(
            f"size {size[0]}x{size[1]}, max_side {max_side}, step {step}: each must be at least 1"
        )
    longest = max(size)
    height, width = size
    if longest > max_side:
        # Integers alone, so that no float rounding lets a side pass max_side.
        height, width = (max(1, (side * max_side + longest // 2) // longest) for side in size)
    padded = (-(-height // step) * step, -(-width // step) * step)
    return Geometry(original=size, network=(height, width), padded=padded)


def to_network(array: Array, geometry: Geometry) -> Array:
    """Bring an image `[H, W, 3]` or a trimap `[H, W]` of `geometry.original` to `padded`.

    An image is padded with copies of its edge, a trimap with UNKNOWN; a trimap of any values comes
    back with BACKGROUND, UNKNOWN and FOREGROUND alone.
    """
    if array.ndim == 2:
        return _pad(shrink_trimap(array, geometry.network), geometry.padded, UNKNOWN)
    return _pad(shrink(array, geometry.network), geometry.padded, None)


def from_network(array: Array, geometry: Geometry) -> Array:
    """Take the padding off an alpha or image of `geometry.padded`; it stays at `network` size."""
    height, width = geometry.network
    return np.ascontiguousarray(array[:height, :width])


def shrink(image: Array, size: Size) -> Array:
    """Scale an image `[H, W]` or `[H, W, 3]`, uint8 sRGB, down to `size`.

    Each pixel is the mean of what it covers: 38-51 dB from Lanczos on photos, in a tenth to a half
    of its time, and without its ringing at hard edges.
    """
    if image.shape[:2] == size:
        return image
    return np.asarray(cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA), np.uint8)


def shrink_trimap(trimap: Array, size: Size) -> Array:
    """Scale a trimap `[H, W]` down to `size`; any value but 0 and 255 is UNKNOWN."""
    # A pixel is known only if everything it covers is known and of one kind: averaging 0 and 255
    # as grey values would call a thin strand of the one or the other certain.
    out = np.full(size, UNKNOWN, np.uint8)
    for kind in (BACKGROUND, FOREGROUND):
        mask = (trimap == kind).view(np.uint8) * np.uint8(255)
        out[shrink(mask, size) == 255] = kind
    return out


def _pad(array: Array, size: Size, value: int | None) -> Array:
    below, right = size[0] - array.shape[0], size[1] - array.shape[1]
    if not below and not right:
        return np.ascontiguousarray(array)
    kind = cv2.BORDER_REPLICATE if value is None else cv2.BORDER_CONSTANT
    padded = cv2.copyMakeBorder(array, 0, below, 0, right, kind, value=value or 0)
    return np.asarray(padded, np.uint8)

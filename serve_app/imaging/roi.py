"""The region of interest: the one rectangle in which a subject is looked for."""

from dataclasses import dataclass

import numpy as np

from serve_app.errors import InvalidOption, InvalidRoi
from serve_app.imaging.crop import Length, parse_length
from serve_app.types import Array, Box, Size

WHOLE = "0% 0% 100% 100%"


@dataclass(frozen=True, slots=True)
class Roi:
    """Two corners, each length along its own side of the image."""

    left: Length
    top: Length
    right: Length
    bottom: Length


def parse_roi(text: str) -> Roi:
    """Parse `x1 y1 x2 y2`, each in px (a bare number too) or %. Raises InvalidOption."""
    lengths = [parse_length(part) for part in text.split()]
    if len(lengths) != 4 or None in lengths:
        raise InvalidOption(
            f"roi={text[:60]}: it must be 'x1 y1 x2 y2', each in px or %, as in '0% 0% 50% 100%'"
        )
    left, top, right, bottom = (length or Length(0) for length in lengths)
    return Roi(left, top, right, bottom)


def roi_box(roi: Roi, size: Size) -> Box:
    """Return the region's pixels in an image of `size`.

    Raises:
        InvalidRoi: a corner lies outside of the image, or the second is not right of and below
            the first.
    """
    height, width = size
    left, right = roi.left.pixels(width), roi.right.pixels(width)
    top, bottom = roi.top.pixels(height), roi.bottom.pixels(height)
    corners = f"roi from ({left}, {top}) to ({right}, {bottom}) px"
    if max(left, right) > width or max(top, bottom) > height:
        raise InvalidRoi(
            f"{corners} leaves the image of {width}x{height} px: keep both corners within it"
        )
    if right <= left or bottom <= top:
        raise InvalidRoi(
            f"{corners} holds no pixel: x2 must be above x1, and y2 above y1", empty=True
        )
    return Box(top, left, bottom - top, right - left)


def with_context(box: Box, size: Size) -> Box:
    """Return `box` with half its sides more all around, within an image of `size`.

    A network that sees nothing but the region cannot tell a subject that its border cuts in two.
    """
    top = max(0, box.top - box.height // 2)
    left = max(0, box.left - box.width // 2)
    bottom = min(size[0], box.top + box.height + box.height // 2)
    right = min(size[1], box.left + box.width + box.width // 2)
    return Box(top, left, bottom - top, right - left)


def clear_outside(alpha: Array, box: Box) -> Array:
    """Set alpha `[H, W]` to 0 outside of `box`."""
    if (box.height, box.width) == alpha.shape:
        return alpha
    out = np.zeros_like(alpha)
    rows, columns = slice(box.top, box.top + box.height), slice(box.left, box.left + box.width)
    out[rows, columns] = alpha[rows, columns]
    return out


def scale_box(box: Box, size: Size, target: Size) -> Box:
    """Carry a box of an image of `size` over to that image at `target`; at least 1 px a side."""
    down, across = target[0] / size[0], target[1] / size[1]
    top = min(round(box.top * down), target[0] - 1)
    left = min(round(box.left * across), target[1] - 1)
    bottom = max(top + 1, round((box.top + box.height) * down))
    right = max(left + 1, round((box.left + box.width) * across))
    return Box(top, left, bottom - top, right - left)

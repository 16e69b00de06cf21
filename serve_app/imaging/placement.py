"""Where the subject stands on the canvas, and how large."""

import re
from dataclasses import dataclass

import cv2
import numpy as np

from serve_app.errors import InvalidOption
from serve_app.imaging.crop import crop
from serve_app.types import Array, Box, Size

_PERCENT = re.compile(r"(\d{1,3}(?:\.\d{1,6})?)%")
_SCALE = (10, 100)  # percent of the canvas


@dataclass(frozen=True, slots=True)
class Placement:
    """Parts of 1; None is 'as in the photo'."""

    scale: float | None = None  # of the canvas, the subject being fitted into it
    position: tuple[float, float] | None = None  # across and down; 0 is the left or upper edge


def parse_placement(scale: str, position: str) -> Placement:
    """Parse `original` or `10%`-`100%`, and `original`, `center` or one or two percentages.

    Raises InvalidOption for anything else.
    """
    return Placement(_parse_scale(scale), _parse_position(position))


def target_box(subject: Box, placement: Placement, size: Size) -> Box:
    """Return the place of `subject` on a canvas of `size`; it never leaves the canvas.

    A scaled subject keeps its aspect and touches the scaled canvas on one side at least. Positions
    are as in CSS: 0 % puts its edge on the canvas's edge, 50 % centres, 100 % ends at the far one.
    """
    factor = 1.0
    if placement.scale is not None:
        factor = placement.scale * min(size[0] / subject.height, size[1] / subject.width)
    height = min(size[0], max(1, round(subject.height * factor)))
    width = min(size[1], max(1, round(subject.width * factor)))
    if placement.position is None:
        top = subject.top + (subject.height - height) // 2
        left = subject.left + (subject.width - width) // 2
    else:
        left = round(placement.position[0] * (size[1] - width))
        top = round(placement.position[1] * (size[0] - height))
    return Box(
        min(max(0, top), size[0] - height), min(max(0, left), size[1] - width), height, width
    )


def place(color: Array, alpha: Array, subject: Box, target: Box) -> tuple[Array, Array]:
    """Move `subject` of an image `[H, W, 3]` and its straight alpha `[H, W]` to `target`.

    What lies outside of the subject is left behind: colour 0 and alpha 0 there.
    """
    if subject == target:
        return color, alpha
    part, matte = crop([color, alpha], subject)
    part, matte = _resize(part, matte, (target.height, target.width))
    out, canvas = np.zeros_like(color), np.zeros_like(alpha)
    rows = slice(target.top, target.top + target.height)
    columns = slice(target.left, target.left + target.width)
    out[rows, columns], canvas[rows, columns] = part, matte
    return out, canvas


def _resize(color: Array, alpha: Array, size: Size) -> tuple[Array, Array]:
    """Scale colour weighted by alpha, so that nothing of the old background bleeds in."""
    if alpha.shape == size:
        return color, alpha
    kind = cv2.INTER_AREA if size[0] < alpha.shape[0] else cv2.INTER_LINEAR
    weight = alpha.astype(np.float32)[..., None] / 255
    premultiplied = cv2.resize(color * weight, size[::-1], interpolation=kind)
    total = cv2.resize(weight, size[::-1], interpolation=kind)
    plain = cv2.resize(color, size[::-1], interpolation=kind)
    straight = premultiplied / np.maximum(total, 1e-6)[..., None]
    seen = total[..., None] > 0
    out = np.where(seen, np.rint(straight).clip(0, 255).astype(np.uint8), plain)
    return out, np.rint(total * 255).astype(np.uint8)


def _parse_scale(text: str) -> float | None:
    if text == "original":
        return None
    match = _PERCENT.fullmatch(text)
    if match is None or not _SCALE[0] <= float(match[1]) <= _SCALE[1]:
        raise InvalidOption(f"scale={text[:40]}: it must be original, or from 10% to 100%")
    return float(match[1]) / 100


def _parse_position(text: str) -> tuple[float, float] | None:
    if text == "original":
        return None
    if text == "center":
        return 0.5, 0.5
    matches = [_PERCENT.fullmatch(part) for part in text.split()]
    values = [float(match[1]) / 100 for match in matches if match is not None]
    if len(values) != len(matches) or len(values) not in (1, 2) or max(values) > 1:
        raise InvalidOption(
            f"position={text[:40]}: it must be original, center, or one or two values from 0% to "
            "100% (across, down)"
        )
    return values[0], values[-1]

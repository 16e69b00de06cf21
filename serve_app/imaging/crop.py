"""Crop to the subject, with a margin around it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from serve_app.errors import InvalidOption
from serve_app.types import Array, Box, Size

_LENGTH = re.compile(r"(\d{1,6}(?:\.\d{1,6})?)(px|%)?")


@dataclass(frozen=True, slots=True)
class Length:
    """A distance: pixels, or percent of the subject's side along it."""

    value: float
    percent: bool = False

    def pixels(self, side: int) -> int:
        """Return the distance in whole pixels for a subject of `side` pixels."""
        return round(self.value * side / 100 if self.percent else self.value)


@dataclass(frozen=True, slots=True)
class Margin:
    """Room around the subject, one length a side."""

    top: Length = Length(0)
    right: Length = Length(0)
    bottom: Length = Length(0)
    left: Length = Length(0)


def parse_margin(text: str) -> Margin:
    """Parse 1, 2 or 4 lengths in the order of CSS, such as `10px`, `5%`, `10 20`, `0 5% 0 5%`.

    A bare number is pixels. Raises InvalidOption for anything else.
    """
    lengths = [_length(part, text) for part in text.split()]
    match lengths:
        case [every]:
            return Margin(every, every, every, every)
        case [vertical, horizontal]:
            return Margin(vertical, horizontal, vertical, horizontal)
        case [top, right, bottom, left]:
            return Margin(top, right, bottom, left)
    raise InvalidOption(f"margin {text[:60]!r} has {len(lengths)} values: give 1, 2 or 4")


def crop_box(foreground: Box, margin: Margin, size: Size) -> Box:
    """Return the subject's box with its margin, clipped to an image of `size`.

    Percentages are of the subject's height (top, bottom) and width (left, right). Without a
    subject there is nothing to crop to: the whole image.
    """
    if not foreground.height or not foreground.width:
        return Box(0, 0, *size)
    top = max(0, foreground.top - margin.top.pixels(foreground.height))
    left = max(0, foreground.left - margin.left.pixels(foreground.width))
    bottom = foreground.top + foreground.height + margin.bottom.pixels(foreground.height)
    right = foreground.left + foreground.width + margin.right.pixels(foreground.width)
    return Box(top, left, min(size[0], bottom) - top, min(size[1], right) - left)


def crop(arrays: Sequence[Array], box: Box) -> list[Array]:
    """Cut `box` out of arrays `[H, W]` or `[H, W, C]`; the results are contiguous."""
    rows = slice(box.top, box.top + box.height)
    columns = slice(box.left, box.left + box.width)
    return [np.ascontiguousarray(array[rows, columns]) for array in arrays]


def parse_length(text: str) -> Length | None:
    """Parse a number with `px`, `%` or nothing (pixels) after it; None for anything else."""
    match = _LENGTH.fullmatch(text)
    return None if match is None else Length(float(match[1]), match[2] == "%")


def _length(part: str, text: str) -> Length:
    length = parse_length(part)
    if length is None:
        raise InvalidOption(
            f"margin {text[:60]!r}: {part[:20]!r} is no length; write numbers with px or %, as in "
            "'10px' or '5% 10%'"
        )
    return length

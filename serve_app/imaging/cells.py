"""A coarse grid over an alpha, on which areas are told apart at a small part of the cost.

An alpha is uint8 `[H, W]`; a cell is a square of its pixels, cut off at the right and lower edge.
"""

import cv2
import numpy as np

from serve_app.types import Array, Size

_CELLS = 256  # along the longest side, at most


def cell_side(size: Size) -> int:
    """Pixels along a cell's side, for an alpha of `size`."""
    return -(-max(size) // _CELLS)


def highest(alpha: Array) -> Array:
    """The highest alpha in each cell."""
    return _each_cell(cv2.dilate(alpha, _square(alpha), anchor=(0, 0)), alpha)


def lowest(alpha: Array) -> Array:
    """The lowest alpha in each cell."""
    return _each_cell(cv2.erode(alpha, _square(alpha), anchor=(0, 0)), alpha)


def label(cells: Array) -> tuple[int, Array]:
    """Number the areas of cells above 0, corners connecting: a count and `[h, w]`, 0 for none."""
    count, labels = cv2.connectedComponents(cells, connectivity=8)
    return count, np.asarray(labels)


def spread(cells: Array, size: Size) -> Array:
    """Give every pixel of an alpha of `size` the value of its cell."""
    side = cell_side(size)
    # Columns first: whole rows are then copied at once.
    return np.ascontiguousarray(cells.repeat(side, 1).repeat(side, 0)[: size[0], : size[1]])


def _square(alpha: Array) -> Array:
    return np.ones((cell_side(alpha.shape),) * 2, np.uint8)


def _each_cell(filtered: object, alpha: Array) -> Array:
    side = cell_side(alpha.shape)
    return np.ascontiguousarray(np.asarray(filtered, np.uint8)[::side, ::side])

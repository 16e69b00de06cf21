"""Pixels alike in colour and near in place, and colours as mixtures of others."""

from collections.abc import Callable, Iterator
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

_Float: TypeAlias = NDArray[np.float32]
Indices: TypeAlias = NDArray[np.intp]

_TREE = {"algorithm": 4, "leaf_max_size": 10}  # one k-d tree: exact, and without chance
_EXACT = {"checks": -1, "eps": 0.0, "sorted": True}
_REGULAR = 1e-3  # of the neighbours' spread, on the diagonal
_FLOOR = 1e-5  # the same for neighbours of one colour
_AT_ONCE = 16384  # rows: memory stays bounded whatever the image


def nearest(points: _Float, queries: _Float, count: int) -> Indices:
    """For each of `queries` `[n, d]` the `count` nearest of `points` `[m, d]`, m > 0: `[n, count]`.

    Points fewer than `count` come more than once.
    """
    order = np.arange(len(points))
    if len(points) < count:
        order = np.resize(order, count)
    held = np.ascontiguousarray(points[order])  # the index reads it, and holds no reference
    index = cv2.flann_Index(held, _TREE)  # type: ignore[attr-defined]
    found, _ = index.knnSearch(np.ascontiguousarray(queries), count, params=_EXACT)
    return np.asarray(order[found])


def mixture(colours: _Float, neighbours: Callable[[slice], _Float], count: int) -> _Float:
    """Weights `[n, count]`, of sum 1, that make `colours` `[n, 3]` best out of their neighbours.

    `neighbours` gives the colours `[rows, count, 3]` of some rows' neighbours. Locally linear
    embedding: Roweis & Saul, "Nonlinear Dimensionality Reduction by Locally Linear Embedding",
    Science 2000.
    """
    weights = np.empty((len(colours), count), np.float32)
    ones, own = np.ones((count, 1), np.float32), np.arange(count)
    for rows in parts(len(colours)):
        apart = neighbours(rows) - colours[rows, None]
        spread = apart @ apart.transpose(0, 2, 1)
        spread[:, own, own] += _REGULAR * np.trace(spread, axis1=1, axis2=2)[:, None] + _FLOOR
        found = np.linalg.solve(spread, ones)[..., 0]
        weights[rows] = found / found.sum(1, keepdims=True)
    return weights


def parts(count: int) -> Iterator[slice]:
    """Slices of `count` rows, so many at once as memory is meant for."""
    for start in range(0, count, _AT_ONCE):
        yield slice(start, min(count, start + _AT_ONCE))

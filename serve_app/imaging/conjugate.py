"""Conjugate gradients on part of an image, for systems that are multiplied with and never made."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

_Float: TypeAlias = NDArray[np.float32]

_SOLVED = 1e-5  # what is left of the residual's energy, as far as float32 can tell


def descend(
    multiply: Callable[[_Float], _Float],
    right: _Float | float,
    start: _Float,
    unknown: NDArray[np.bool_],
    rounds: int,
    diagonal: _Float | None = None,
) -> _Float:
    """Bring `multiply(x) = right` nearer to true where `unknown`; elsewhere x stays `start`.

    All are `[h, w]`; `multiply` is with a symmetric positive matrix, and its `diagonal`, if given,
    makes the rounds count for more where the matrix is uneven.
    """
    free = unknown.astype(np.float32)
    scale = np.ones_like(start) if diagonal is None else np.float32(1) / diagonal
    alpha: _Float = start
    rest: _Float = free * (right - multiply(start))
    direction = rest * scale
    energy = _dot(rest, direction)
    for _ in range(rounds):
        change = free * multiply(direction)
        curvature = _dot(direction, change)
        if energy < _SOLVED or curvature <= 0:
            break
        step = np.float32(energy / curvature)
        alpha = alpha + step * direction
        rest = rest - step * change
        before, energy = energy, _dot(rest, rest * scale)
        direction = rest * scale + np.float32(energy / before) * direction
    return alpha


def _dot(one: _Float, other: _Float) -> float:
    return float(np.vdot(one, other))

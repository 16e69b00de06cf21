"""Closed-form matting within the unknown part of a trimap, from coarse to fine.

Levin, Lischinski & Weiss, "A Closed-Form Solution to Natural Image Matting", TPAMI 2008: in every
3 x 3 window alpha is a linear function of colour, and the alpha that misses this least, with what
the trimap knows held fast, solves a linear system. Its matrix is never made: multiplying with it
is a few box filters (He, Sun & Tang, "Fast Matting Using Large Kernel Matting Laplacian Matrices",
CVPR 2010). Conjugate gradients carry what is known over a few pixels a round, so they start on a
small image, where the band is narrow; each solution's own linear models, applied to the next
larger image, bring it there with the image's detail.

Arrays are float32, colours and alphas 0-1; `[3, h, w]` are planes of red, green and blue.
"""

from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from serve_app.imaging.conjugate import descend
from serve_app.imaging.geometry import shrink, shrink_trimap
from serve_app.types import FOREGROUND, UNKNOWN, Array, Size

_Float: TypeAlias = NDArray[np.float32]

_EPSILON = 1e-5  # variance of colour below which a window counts as flat
_FINEST = 512  # px, longest side of the largest system; rounds at full size gain under 1 %
_ROUNDS = (60, 40, 20, 10)  # of conjugate gradients, each at twice the side of the one before
_BOX = (3, 3)


def solve_alpha(image: Array, trimap: Array, start: Array) -> _Float:
    """Solve alpha `[h, w]`, 0-1, where `trimap` `[h, w]` is UNKNOWN, from the guess `start`.

    `image` is uint8 `[h, w, 3]` sRGB, `start` uint8 `[h, w]`. Where a part of the unknown meets
    neither kind of known pixel the guess remains, smoothed along the colours.
    """
    size = trimap.shape
    sizes = [at_most(size, min(_FINEST, max(size) // 2) >> k) for k in range(len(_ROUNDS))][::-1]
    alpha = shrink(start, sizes[0]).astype(np.float32) * np.float32(1 / 255)
    for at, larger, rounds in zip(sizes, [*sizes[1:], size], _ROUNDS, strict=True):
        marks = shrink_trimap(trimap, at)
        lines = ColourLines(planes(shrink(image, at)))
        alpha = descend(lines.miss, 0, held(alpha, marks), marks == UNKNOWN, rounds)
        alpha = lines.at(planes(shrink(image, larger)), alpha)
    return held(alpha, trimap)


class ColourLines:
    """The linear models of alpha by colour, one in each 3 x 3 window of an image."""

    def __init__(self, colour: _Float) -> None:
        """`colour` is `[3, h, w]`."""
        self._colour = colour
        self._count = _sum(np.ones(colour.shape[1:], np.float32))  # fewer than 9 at the border
        self._mean = _sum(colour) / self._count
        self._inverse = _inverse(_covariance(colour, self._mean, self._count))

    def fit(self, alpha: _Float) -> tuple[_Float, _Float]:
        """Return each window's slopes `[3, h, w]` and offset `[h, w]`."""
        mean = _sum(alpha) / self._count
        with_colour = _sum(self._colour * alpha) / self._count - self._mean * mean
        slopes = np.asarray((self._inverse * with_colour[:, None]).sum(0), np.float32)
        return slopes, mean - (slopes * self._mean).sum(0)

    def miss(self, alpha: _Float) -> _Float:
        """Multiply with the matting Laplacian: by how much alpha misses the windows' models."""
        slopes, offset = self.fit(alpha)
        explained = (_sum(slopes) * self._colour).sum(0) + _sum(offset)
        return np.asarray(self._count * alpha - explained, np.float32)

    def diagonal(self) -> _Float:
        """The matting Laplacian's: what each pixel's windows make of that pixel alone."""
        by_mean = (self._inverse * self._mean[:, None]).sum(0)
        constant = _sum(1 - (1 + (by_mean * self._mean).sum(0)) / self._count)
        own = constant + 2 * (_sum(by_mean / self._count) * self._colour).sum(0)
        for row, colour in zip(self._inverse, self._colour, strict=True):
            own -= colour * (_sum(row / self._count) * self._colour).sum(0)
        return np.asarray(own, np.float32)

    def at(self, colour: _Float, alpha: _Float) -> _Float:
        """Apply the models of `alpha` to a larger image's `colour` `[3, H, W]`."""
        size = colour.shape[2], colour.shape[1]
        models = [
            cv2.resize(_sum(plane) / self._count, size, interpolation=cv2.INTER_LINEAR)
            for part in self.fit(alpha)
            for plane in part.reshape(-1, *alpha.shape)
        ]
        return np.asarray((np.stack(models[:3]) * colour).sum(0) + models[3], np.float32)


def held(alpha: _Float, marks: Array) -> _Float:
    """Alpha `[h, w]` within 0-1, and what the trimap `marks` knows put in."""
    known = (marks == FOREGROUND).astype(np.float32)
    return np.where(marks == UNKNOWN, np.clip(alpha, 0, 1), known)


def planes(image: Array) -> _Float:
    """Uint8 `[h, w, 3]` as `[3, h, w]`, 0-1."""
    return np.ascontiguousarray(image.transpose(2, 0, 1)) * np.float32(1 / 255)


def _sum(array: _Float) -> _Float:
    """Sums over each pixel's window, of one plane or of each."""
    if array.ndim == 3:
        return np.stack([_sum(plane) for plane in array])
    edge = cv2.BORDER_CONSTANT  # nothing lies beyond it
    return np.asarray(cv2.boxFilter(array, -1, _BOX, normalize=False, borderType=edge))


def _covariance(colour: _Float, mean: _Float, count: _Float) -> NDArray[np.float64]:
    """`[3, 3, h, w]`, regularised; in float64, as it is a small difference of large numbers."""
    colour, mean = colour.astype(np.float64), mean.astype(np.float64)
    found = np.empty((3, *colour.shape))
    for i in range(3):
        for j in range(i, 3):
            product = _sum(colour[i] * colour[j]) / count - mean[i] * mean[j]
            found[i, j] = found[j, i] = product + (_EPSILON / count if i == j else 0)
    return found


def _inverse(matrix: NDArray[np.float64]) -> _Float:
    """Invert symmetric `[3, 3, h, w]` by cofactors: its rows are products across of two others."""
    rows = [np.cross(matrix[i - 2], matrix[i - 1], axis=0) for i in range(3)]
    determinant = (matrix[0] * rows[0]).sum(0)
    return np.asarray(np.stack(rows) / determinant, np.float32)


def at_most(size: Size, side: int) -> Size:
    """The size whose longest side is `side`, of the same shape."""
    height, width = (max(1, round(length * side / max(size))) for length in size)
    return height, width

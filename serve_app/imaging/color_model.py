"""Alpha as a linear function of colour around each pixel: the guided filter's model, unapplied.

He, Sun & Tang, "Guided Image Filtering", TPAMI 2013: within each box, the slopes that explain alpha
by red, green and blue with the least squared error, regularised; then their mean over the boxes
that a pixel lies in. Arrays are float32; `[N, h, w]` are N planes.
"""

import math
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from serve_app.types import Array

_Float: TypeAlias = NDArray[np.float32]

_RADIUS = 1  # px: how far one linear model reaches
_EPSILON = 3e-4 * 255**2  # variance of the guide (8-bit) below which it counts as flat
_BOX = np.full(2 * _RADIUS + 1, 1 / (2 * _RADIUS + 1), np.float32)

MARGIN = 2 * _RADIUS
"""How far a model depends on what lies around it, px."""


class Memory:
    """Arrays that each tile writes anew: taking fresh ones costs more than what is done in them."""

    def __init__(self) -> None:
        self._held: dict[str, _Float] = {}

    def take(self, name: str, shape: tuple[int, ...]) -> _Float:
        """Return an array of any content; one of the same name shares its memory."""
        count = math.prod(shape)
        if name not in self._held or self._held[name].size < count:
            self._held[name] = np.empty(count, np.float32)
        return self._held[name][:count].reshape(shape)


def fit_alpha(guide: Array, target: Array, memory: Memory) -> _Float:
    """Fit alpha `[h, w]` to the colours around each pixel of `guide` `[h, w, 3]`.

    Returns `[h, w, 4]`: three slopes, and what makes the model 0 at the guide's own colour when
    multiplied with 255, the fourth channel of an opaque image. The outer `MARGIN` pixels are
    worth nothing. Planes of one kind lie in one array, so that a step is one call for all of them.
    """
    size = target.shape
    planes, means = memory.take("planes", (4, *size)), memory.take("means", (4, *size))
    products = memory.take("products", (9, *size))
    covariance = memory.take("covariance", (9, *size))
    planes[:3], planes[3] = guide.transpose(2, 0, 1), target
    _average(_multiply(planes, products), covariance)
    covariance -= _multiply(_average(planes, means), products)
    slopes = _average(_solve(covariance, products[:3]), means[:3])
    model = memory.take("model", (*size, 4))
    np.multiply(slopes, planes[:3], out=planes[:3])
    np.multiply(planes[:3].sum(0), np.float32(-1 / 255), out=planes[3])
    model[..., :3], model[..., 3] = slopes.transpose(1, 2, 0), planes[3]
    return model


def _multiply(planes: _Float, out: _Float) -> _Float:
    """Red, green and blue times themselves, the ones after them and alpha: `[9, h, w]`."""
    np.multiply(planes[0], planes, out=out[:4])
    np.multiply(planes[1], planes[1:], out=out[4:7])
    np.multiply(planes[2], planes[2:], out=out[7:])
    return out


def _solve(covariance: _Float, out: _Float) -> _Float:
    """Slopes `[3, h, w]`: solves the regularised normal equations, symmetric 3 x 3, by L D L^T."""
    rr, rg, rb, ra, gg, gb, ga, bb, ba = covariance
    inverse = 1 / (rr + _EPSILON)
    g_of_r, b_of_r = rg * inverse, rb * inverse
    cross = gb - g_of_r * rb
    inverse_g = 1 / (gg + _EPSILON - g_of_r * rg)
    b_of_g = cross * inverse_g
    rest_b = bb + _EPSILON - b_of_r * rb - b_of_g * cross
    rest_ga = ga - g_of_r * ra
    np.divide(ba - b_of_r * ra - b_of_g * rest_ga, rest_b, out=out[2])
    np.subtract(rest_ga * inverse_g, b_of_g * out[2], out=out[1])
    np.subtract(ra * inverse, g_of_r * out[1] + b_of_r * out[2], out=out[0])
    return out


def _average(planes: _Float, out: _Float) -> _Float:
    """Box means of planes `[N, h, w]` stacked to one; next planes reach into the outer pixels."""
    stacked = -1, planes.shape[2]
    cv2.sepFilter2D(planes.reshape(stacked), -1, _BOX, _BOX, out.reshape(stacked))
    return out

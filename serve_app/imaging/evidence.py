"""What a pixel of a trimap's unknown band shows of its alpha: the network's word and the colours'.

Neither is right everywhere. The network knows subjects and draws plain edges; closed form and its
kin know hair, and are lost where subject and background are of one colour. Where they differ, how
much, and how soft each is nearby tells which of them to believe.
"""

from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from serve_app.imaging.colour_flow import Flow
from serve_app.types import BACKGROUND, FOREGROUND, UNKNOWN, Array

_Float: TypeAlias = NDArray[np.float32]

_CLOSE, _AROUND, _WIDE = 2, 8, 30  # px of the network's view
_FEW = 0.02  # of a window: known pixels that are fewer say less

NETWORK, SOLVED = 0, 1
"""The columns that hold the network's alpha and the one solved from colours."""


def evidence(alpha: Array, trimap: Array, flow: Flow) -> _Float:
    """Return one row for each unknown pixel, in their order: `[n, 25]`.

    `alpha` is the network's, uint8 `[h, w]`, as it gave it.
    """
    band = trimap == UNKNOWN
    share = alpha * np.float32(1 / 255)
    network, solved = _Windows(share, band), _Windows(flow.solved, band)
    softness = [_Windows(_softness(a), band) for a in (share, flow.solved)]
    apart = _Windows(np.abs(share - flow.solved), band)
    shares = _Windows(np.abs(flow.solved - flow.share), band)
    columns = [
        network.here,
        solved.here,
        flow.near[band],
        flow.share[band],
        np.sqrt(np.maximum(flow.apart, 0))[band],
        _order(flow.to_foreground)[band],
        _order(flow.to_background)[band],
        _order(_distance(trimap, FOREGROUND))[band],
        _order(_distance(trimap, BACKGROUND))[band],
        _contradiction(alpha, trimap)[band],
        apart.here,
        np.abs(flow.near - flow.share)[band],
        *(each.mean(_CLOSE) for each in (network, solved, _Windows(flow.share, band))),
        *(each.mean(_AROUND) for each in (network, solved, *softness, apart, shares)),
        *(each.mean(_WIDE) for each in (network, solved, softness[1], apart)),
    ]
    return np.stack(columns, 1).astype(np.float32)


class _Windows:
    """Means over what is unknown around each unknown pixel."""

    def __init__(self, values: _Float, band: NDArray[np.bool_]) -> None:
        self._values, self._band = values * band, band
        self.here = values[band]

    def mean(self, reach: int) -> _Float:
        count = _mean(self._band.astype(np.float32), reach)
        return np.asarray(_mean(self._values, reach)[self._band] / count[self._band], np.float32)


def _contradiction(alpha: Array, trimap: Array) -> _Float:
    """How far the network is off known pixels nearby."""
    known = (trimap != UNKNOWN).astype(np.float32)
    wrong = cv2.absdiff(alpha, trimap) * known * np.float32(1 / 255)
    seen = np.maximum(_mean(known, _WIDE), np.float32(_FEW))
    return np.asarray(_mean(wrong, _WIDE) / seen, np.float32)


def _softness(alpha: _Float) -> _Float:
    """1 where alpha is a half, 0 where it is 0 or 1."""
    return np.asarray(4 * alpha * (1 - alpha), np.float32)


def _distance(trimap: Array, kind: int) -> _Float:
    """To the nearest pixel of a kind, in parts of the longest side."""
    away = cv2.distanceTransform((trimap != kind).view(np.uint8), cv2.DIST_L2, 5)
    return np.asarray(away / max(trimap.shape), np.float32)


def _order(values: _Float) -> _Float:
    """Order of magnitude, -1 to 0."""
    return np.asarray(np.log10(np.clip(values, 1e-5, 1)) / 5, np.float32)


def _mean(array: _Float, reach: int) -> _Float:
    return np.asarray(cv2.blur(array, (2 * reach + 1,) * 2), np.float32)

"""Alpha out of evidence, by a small network of its own: two hidden layers of 16.

`python -m training.weighing` fits it to composites whose alpha is known, and writes its weights
beside this module. They are a few hundred numbers: three matrix products on what is unknown.
"""

from functools import cache
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from serve_app.imaging.evidence import NETWORK, SOLVED
from serve_app.imaging.neighbours import parts

_Float: TypeAlias = NDArray[np.float32]

WEIGHTS = Path(__file__).with_name("weighing.npz")


def weigh(evidence: _Float) -> _Float:
    """Alpha 0-1 `[n]` of `evidence` `[n, 25]`: half-way between both, and what that lacks."""
    layers = _layers()
    out = np.empty(len(evidence), np.float32)
    for rows in parts(len(evidence)):
        x = evidence[rows]
        middle = (x[:, NETWORK] + x[:, SOLVED]) / 2
        for weight, bias in layers[:-1]:
            x = np.maximum(x @ weight + bias, 0)
        weight, bias = layers[-1]
        out[rows] = middle + (x @ weight + bias)[:, 0]
    return np.clip(out, 0, 1)


@cache
def _layers() -> tuple[tuple[_Float, _Float], ...]:
    """Weights `[before, after]` and biases `[after]` of each layer."""
    with np.load(WEIGHTS, allow_pickle=False) as stored:
        return tuple((stored[f"weight{i}"], stored[f"bias{i}"]) for i in range(3))

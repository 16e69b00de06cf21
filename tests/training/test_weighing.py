"""What is fitted, weighed as the service does it."""

from pathlib import Path

import numpy as np
import pytest

from serve_app.imaging import weighing
from serve_app.imaging.evidence import NETWORK, SOLVED
from serve_app.types import BACKGROUND, FOREGROUND, UNKNOWN
from training.weighing import composite, drawn, fit


def test_it_learns_whom_to_believe(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The last column says which of the two is right."""
    rng = np.random.default_rng(0)
    rows = rng.uniform(0, 1, (4, 5000, 25)).astype(np.float32)
    rows[..., -1] = rows[..., -1] > 0.5
    truths = np.where(rows[..., -1] > 0.5, rows[..., NETWORK], rows[..., SOLVED])
    monkeypatch.setattr(weighing, "WEIGHTS", tmp_path / "weighing.npz")
    np.savez(weighing.WEIGHTS, **fit(rows, truths, 0))
    weighing._layers.cache_clear()
    found = weighing.weigh(rows[0])
    weighing._layers.cache_clear()
    assert np.abs(found - truths[0]).mean() < 0.05
    assert np.abs((rows[0, :, NETWORK] + rows[0, :, SOLVED]) / 2 - truths[0]).mean() > 0.15


def test_composites_and_trimaps_fit_their_alpha() -> None:
    rng = np.random.default_rng(0)
    alpha = np.zeros((120, 160), np.uint8)
    alpha[40:80, 50:110] = 255
    red, blue = (
        np.full((120, 160, 3), colour, np.uint8) for colour in ((200, 20, 20), (10, 10, 220))
    )
    case = drawn(composite(red, alpha, blue[:50, :50], rng), alpha, rng)
    assert np.abs(case.image[60, 80].astype(int) - red[0, 0]).max() < 12
    assert np.abs(case.image[5, 5].astype(int) - blue[0, 0]).max() < 12
    for kind, value in ((BACKGROUND, 0), (FOREGROUND, 255)):
        assert (alpha[case.trimap == kind] == value).all()
    assert (case.trimap == UNKNOWN).any()

"""Each step against an analytic answer or SciPy."""

import numpy as np
import pytest
from scipy import ndimage, special

from serve_app.imaging.matte import (
    VISIBLE,
    bounding_box,
    clear_doubt,
    erode,
    feather,
    honour_trimap,
    threshold,
    trimap_of,
)
from serve_app.types import BACKGROUND, FOREGROUND, UNKNOWN, Box


@pytest.fixture
def alpha() -> np.ndarray:
    """A soft disc."""
    y, x = np.mgrid[-40:40, -50:50]
    return np.clip(128 + 20 * (25 - np.hypot(x, y)), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("t", [0, 1, 13, 50, 255])
def test_threshold_clears_what_is_below_and_keeps_the_rest(t: int) -> None:
    every = np.arange(256, dtype=np.uint8)[None]
    assert threshold(every, t).tolist() == [[v if v >= t else 0 for v in range(256)]]


@pytest.mark.parametrize("most", [0, 1, 63, 64, 255])
def test_doubt_alone_is_cleared(most: int) -> None:
    alpha = np.linspace(0, most, 12).round().astype(np.uint8).reshape(3, 4)
    expected = alpha if most >= 64 else np.zeros_like(alpha)
    assert clear_doubt(alpha).tolist() == expected.tolist()


@pytest.mark.parametrize("step", [threshold, erode, feather])
def test_nothing_to_do_gives_the_same_array(step: object, alpha: np.ndarray) -> None:
    assert step(alpha, 0) is alpha


@pytest.mark.parametrize("px", [1, 2, 5])
def test_erode_is_the_least_of_the_neighbourhood(px: int, alpha: np.ndarray) -> None:
    y, x = np.mgrid[-px : px + 1, -px : px + 1]
    least = erode(alpha, px)
    # Anything between the inscribed diamond and the square is an ellipse on a grid.
    diamond = ndimage.grey_erosion(alpha, footprint=np.abs(x) + np.abs(y) <= px, mode="nearest")
    square = ndimage.grey_erosion(alpha, size=2 * px + 1, mode="nearest")
    assert (least <= diamond).all()
    assert (least >= square).all()


def test_erode_moves_a_straight_edge_by_px() -> None:
    alpha = np.zeros((40, 40), np.uint8)
    alpha[:, 20:] = 255
    assert np.array_equal(erode(alpha, 3), np.roll(alpha, 3, axis=1) & alpha)


def test_erode_leaves_a_subject_at_the_frame_whole() -> None:
    alpha = np.full((9, 9), 255, np.uint8)
    assert (erode(alpha, 3) == 255).all()


@pytest.mark.parametrize("px", [1, 3, 10])
def test_feather_makes_the_promised_ramp(px: int) -> None:
    alpha = np.zeros((5, 200), np.uint8)
    alpha[:, 100:] = 255
    distance = np.arange(200) + 0.5 - 100
    expected = 255 * special.ndtr(distance / (px / 2))
    assert np.abs(feather(alpha, px)[2] - expected).max() < (15 if px == 1 else 3)


def test_feather_gives_the_frame_no_edge() -> None:
    alpha = np.full((30, 30), 255, np.uint8)
    assert (feather(alpha, 10) == 255).all()


def test_known_pixels_come_back_as_given(alpha: np.ndarray) -> None:
    known = np.full(alpha.shape, UNKNOWN, np.uint8)
    known[:10], known[-10:], known[20:30] = FOREGROUND, BACKGROUND, 77
    before = alpha.copy()
    out = honour_trimap(alpha, known)
    assert (out[:10] == 255).all()
    assert (out[-10:] == 0).all()
    assert np.array_equal(out[10:-10], alpha[10:-10])
    assert np.array_equal(alpha, before)
    assert honour_trimap(alpha, None) is alpha


def test_bounding_box() -> None:
    alpha = np.zeros((20, 30), np.uint8)
    assert bounding_box(alpha) == Box(0, 0, 0, 0)
    alpha[2, 3] = VISIBLE - 1
    assert bounding_box(alpha) == Box(0, 0, 0, 0)
    alpha[5, 7] = VISIBLE
    assert bounding_box(alpha) == Box(5, 7, 1, 1)
    alpha[19, 29] = 255
    assert bounding_box(alpha) == Box(5, 7, 15, 23)


def test_trimap_has_a_band_around_the_edge(alpha: np.ndarray) -> None:
    trimap = trimap_of(alpha)
    assert set(np.unique(trimap)) == {BACKGROUND, UNKNOWN, FOREGROUND}
    soft = (alpha > 0) & (alpha < 255)
    distance = ndimage.distance_transform_edt(~soft)
    assert (trimap[distance <= 1.9] == UNKNOWN).all()
    assert (trimap[distance > 4] != UNKNOWN).all()
    assert (alpha[trimap == FOREGROUND] == 255).all()
    assert (alpha[trimap == BACKGROUND] == 0).all()


def test_trimap_of_a_hard_edge_and_of_none() -> None:
    alpha = np.zeros((400, 400), np.uint8)
    assert (trimap_of(alpha) == BACKGROUND).all()
    assert (trimap_of(255 - alpha) == FOREGROUND).all()
    alpha[:, 200:] = 255
    unknown = np.flatnonzero(trimap_of(alpha)[0] == UNKNOWN)
    assert (unknown[0], unknown[-1]) == (200 - 5, 199 + 5)  # 1 % of 400 px, beyond the two pixels

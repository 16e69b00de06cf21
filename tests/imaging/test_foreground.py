"""Composites of known colours and alpha, so that the right answer is known."""

import cv2
import numpy as np
import pytest

from serve_app.imaging.foreground import estimate_foreground
from serve_app.imaging.matte import erode, feather


def soft_disc(height: int, width: int) -> np.ndarray:
    """A disc with a wide soft edge and strands around it."""
    y, x = np.mgrid[0:height, 0:width] - np.array([height / 2, width / 2])[:, None, None]
    radius, angle = np.hypot(x, y) / min(height, width), np.arctan2(y, x)
    body = np.clip(0.5 + (0.3 - radius) * 20, 0, 1)
    strands = np.clip((0.42 - radius) * 12, 0, 1) * (0.5 + 0.5 * np.cos(60 * angle)) ** 3
    return np.rint(255 * np.maximum(body, strands)).astype(np.uint8)


def texture(height: int, width: int, colour: tuple[int, int, int], seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 12, (height // 8 + 1, width // 8 + 1, 3))
    return np.clip(cv2.resize(noise, (width, height)) + colour, 0, 255)


def mixed(front: np.ndarray, back: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    a = alpha[..., None] / 255
    return np.rint(a * front + (1 - a) * back).astype(np.uint8)


def error(found: np.ndarray, front: np.ndarray, alpha: np.ndarray) -> float:
    """Mean colour error on soft pixels, weighted by how much of the colour is seen."""
    soft = (alpha > 0) & (alpha < 255)
    return float((np.abs(found - front).mean(-1) * alpha / 255)[soft].mean())


@pytest.mark.parametrize("size", [(240, 320), (900, 1200), (97, 61)])
@pytest.mark.parametrize("back", [(20, 220, 40), (250, 250, 250), (10, 10, 60)])
def test_at_most_half_the_error(size: tuple[int, int], back: tuple[int, int, int]) -> None:
    alpha = soft_disc(*size)
    front = texture(*size, (150, 90, 60), 0)
    image = mixed(front, texture(*size, back, 1), alpha)
    found = estimate_foreground(image, alpha)
    assert error(found, front, alpha) < 0.5 * error(image, front, alpha)


def test_flat_colours_are_found() -> None:
    alpha = soft_disc(300, 400)
    image = mixed(np.full((300, 400, 3), (200, 40, 60)), np.full(3, (0, 0, 255)), alpha)
    found = estimate_foreground(image, alpha)
    seen = (alpha > 20) & (alpha < 255)
    assert np.abs(found[seen] - np.array([200, 40, 60])).mean() < 6


def test_only_soft_pixels_change() -> None:
    alpha = soft_disc(300, 400)
    image = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
    before = image.copy()
    found = estimate_foreground(image, alpha)
    hard = (alpha == 0) | (alpha == 255)
    assert np.array_equal(found[hard], image[hard])
    assert np.array_equal(image, before)


@pytest.mark.parametrize("level", [0, 255])
def test_nothing_soft_gives_the_same_image(level: int) -> None:
    image = np.zeros((8, 8, 3), np.uint8)
    assert estimate_foreground(image, np.full((8, 8), level, np.uint8)) is image


def test_soft_everywhere_and_one_pixel() -> None:
    image = np.full((1, 1, 3), 77, np.uint8)
    assert estimate_foreground(image, np.full((1, 1), 99, np.uint8)).shape == (1, 1, 3)


@pytest.mark.parametrize(("shrunk", "softened"), [(1, 3), (1, 5), (0, 10), (5, 10)])
@pytest.mark.parametrize("back", [(20, 220, 40), (250, 250, 250), (10, 10, 60)])
def test_a_feathered_edge_shows_the_subject_alone(
    shrunk: int, softened: int, back: tuple[int, int, int]
) -> None:
    """What a feathered matte shows outside of the true edge is background, inside it is not."""
    true = np.zeros((300, 400), np.uint8)
    cv2.circle(true, (200, 150), 90, 255, -1, cv2.LINE_AA)
    front = np.full((300, 400, 3), (150, 90, 60))
    image = mixed(front, np.full(3, back), true)
    shown = feather(erode(true, shrunk), softened)
    found = estimate_foreground(image, true, shown)
    seen = np.abs(found - front).max(-1) * (shown / 255)
    assert seen.max() < 6
    assert np.array_equal(found[shown == 255], image[shown == 255])


def test_faint_areas_far_from_the_subject_do_not_turn_black() -> None:
    alpha = np.zeros((400, 600), np.uint8)
    alpha[:, :100], alpha[150:250, 400:500] = 255, 12
    front, back = np.full((400, 600, 3), (200, 150, 120)), np.full(3, (190, 190, 200))
    found = estimate_foreground(mixed(front, back, alpha), alpha)
    assert found[alpha == 12].min() > 100

"""The matting Laplacian against the sum it is defined by; solutions against known composites."""

import numpy as np
import pytest

from serve_app.imaging.closed_form import ColourLines, solve_alpha
from serve_app.types import BACKGROUND, FOREGROUND, UNKNOWN
from tests.imaging.strands import composite_of, strands, trimap_around


def laplacian(image: np.ndarray, epsilon: float) -> np.ndarray:
    """Levin's formula, window by window; at the border windows are cut off."""
    height, width = image.shape[:2]
    matrix = np.zeros((height * width,) * 2)
    for y in range(height):
        for x in range(width):
            rows, columns = np.meshgrid(
                range(max(0, y - 1), min(height, y + 2)), range(max(0, x - 1), min(width, x + 2))
            )
            at = (rows * width + columns).ravel()
            colours = image[rows.ravel(), columns.ravel()].astype(float)
            apart = colours - colours.mean(0)
            covariance = apart.T @ apart / len(at) + epsilon / len(at) * np.eye(3)
            alike = (1 + apart @ np.linalg.inv(covariance) @ apart.T) / len(at)
            matrix[np.ix_(at, at)] += np.eye(len(at)) - alike
    return matrix


def test_multiplying_is_with_the_matting_laplacian() -> None:
    rng = np.random.default_rng(0)
    image = rng.uniform(0, 1, (7, 9, 3)).astype(np.float32)
    alpha = rng.uniform(0, 1, (7, 9)).astype(np.float32)
    missed = ColourLines(image.transpose(2, 0, 1)).miss(alpha)
    expected = laplacian(image, 1e-5) @ alpha.ravel()
    assert np.abs(missed.ravel() - expected).max() < 1e-3


def test_an_alpha_linear_in_colour_misses_nothing() -> None:
    image = np.random.default_rng(0).uniform(0, 1, (3, 20, 30)).astype(np.float32)
    alpha = 0.5 * image[0] + 0.2 * image[1] - 0.1 * image[2] + 0.1
    assert np.abs(ColourLines(image).miss(alpha)).max() < 1e-3


@pytest.mark.parametrize("guess", [0, 128, 255])
def test_strands_are_found_whatever_the_guess(guess: int) -> None:
    truth = strands()
    trimap = trimap_around(truth)
    start = np.full(truth.shape, guess, np.uint8)
    found = solve_alpha(composite_of(truth), trimap, start)
    band = trimap == UNKNOWN
    assert np.abs(found - truth / 255)[band].mean() < 0.03
    assert np.abs(start / 255.0 - truth / 255)[band].mean() > 0.2


def test_known_pixels_are_held() -> None:
    truth = strands()
    trimap = trimap_around(truth)
    found = solve_alpha(composite_of(truth), trimap, np.full(truth.shape, 90, np.uint8))
    assert (found[trimap == FOREGROUND] == 1).all()
    assert (found[trimap == BACKGROUND] == 0).all()
    assert found.min() >= 0
    assert found.max() <= 1


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (5, 3)])
def test_thin_images(size: tuple[int, int]) -> None:
    trimap = np.full(size, UNKNOWN, np.uint8)
    trimap[0, 0], trimap[-1, -1] = BACKGROUND, FOREGROUND
    found = solve_alpha(np.zeros((*size, 3), np.uint8), trimap, np.full(size, 99, np.uint8))
    assert found.shape == size
    assert np.isfinite(found).all()


def test_the_diagonal_is_the_matting_laplacians() -> None:
    image = np.random.default_rng(0).uniform(0, 1, (7, 9, 3)).astype(np.float32)
    found = ColourLines(image.transpose(2, 0, 1)).diagonal()
    assert np.abs(found.ravel() - laplacian(image, 1e-5).diagonal()).max() < 1e-3

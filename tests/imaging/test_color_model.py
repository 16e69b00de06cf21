"""The fit against one made pixel by pixel, with NumPy's own solver."""

import numpy as np
import pytest

from serve_app.imaging.color_model import MARGIN, Memory, fit_alpha

EPSILON = 3e-4 * 255**2


def window(array: np.ndarray, y: int, x: int) -> np.ndarray:
    return array[y - 1 : y + 2, x - 1 : x + 2].astype(np.float64).reshape(9, -1)


def slopes_at(guide: np.ndarray, target: np.ndarray, y: int, x: int) -> np.ndarray:
    colours, alphas = window(guide, y, x), window(target[..., None], y, x)
    away = colours - colours.mean(0)
    covariance = away.T @ away / 9 + EPSILON * np.eye(3)
    return np.linalg.solve(covariance, away.T @ (alphas - alphas.mean()) / 9)[:, 0]


@pytest.mark.parametrize("size", [(7, 9), (5, 5), (12, 6)])
def test_it_agrees_with_a_fit_pixel_by_pixel(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    guide = rng.integers(0, 256, (*size, 3), np.uint8)
    target = rng.integers(0, 256, size, np.uint8)
    memory = Memory()
    fit_alpha(guide[::-1].copy(), target, memory)  # what it held before must not matter
    found = fit_alpha(guide, target, memory)
    for y in range(MARGIN, size[0] - MARGIN):
        for x in range(MARGIN, size[1] - MARGIN):
            near = [slopes_at(guide, target, y + i, x + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
            expected = np.mean(near, axis=0)
            assert np.allclose(found[y, x, :3], expected, atol=1e-4)
            # At the guide's own colour, as an opaque pixel, the model is 0.
            assert found[y, x] @ [*guide[y, x].astype(float), 255] == pytest.approx(0, abs=0.02)


def test_memory_is_shared_by_name() -> None:
    memory = Memory()
    large, small = memory.take("a", (4, 5)), memory.take("a", (2, 3))
    assert np.shares_memory(large, small)
    assert small.shape == (2, 3)
    assert memory.take("a", (9, 9)).size == 81
    assert not np.shares_memory(memory.take("b", (2, 3)), memory.take("a", (2, 3)))

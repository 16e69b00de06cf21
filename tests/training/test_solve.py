import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from serve_app.errors import SetupError
from training import solve
from training.solve import cached_alpha, check_solver, near_edge, solve_alpha

SIZE = (96, 128)
BAND = 6


def over_two_grounds(alpha: np.ndarray) -> np.ndarray:
    """A brown subject over green to the left and blue to the right, uint8 HWC."""
    ground = np.zeros((*alpha.shape, 3))
    ground[:, :64], ground[:, 64:] = (60, 160, 70), (70, 110, 220)
    image = alpha[..., None] * (120, 70, 40) + (1 - alpha[..., None]) * ground
    noise = np.random.default_rng(0).normal(0, 2, image.shape)
    return (image + noise).clip(0, 255).round().astype(np.uint8)


def soft_disc() -> np.ndarray:
    """Alpha, 0-1, which falls from 1 to 0 over 10 px."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    return np.clip((28 - np.hypot(y - 48, x - 64)) / 10 + 0.5, 0, 1)


def as_mask(alpha: np.ndarray) -> np.ndarray:
    return np.where(alpha >= 0.5, np.uint8(255), np.uint8(0))


def test_what_is_solved_is_nearer_to_the_truth_than_the_mask() -> None:
    truth = soft_disc()
    mask = as_mask(truth)
    alpha = solve_alpha(over_two_grounds(truth), mask, BAND)
    near = near_edge(mask, BAND)
    errors = [np.abs(guess[near] / 255 - truth[near]).mean() for guess in (alpha, mask)]
    assert errors[0] < 2 / 3 * errors[1]
    np.testing.assert_array_equal(alpha[~near], mask[~near])


def test_it_is_the_least_of_what_it_says_it_minimises() -> None:
    """Against a dense solution over the whole picture, PyMatting's matrix and NumPy's solver."""
    from pymatting import cf_laplacian

    truth = soft_disc()[30:60, 20:60]
    image, mask = over_two_grounds(soft_disc())[30:60, 20:60], as_mask(truth)
    free = near_edge(mask, 3).ravel()
    matrix = cf_laplacian(image / 255, epsilon=1e-5).toarray()
    right = 0.3 * (mask.ravel()[free] > 0) - matrix[free][:, ~free] @ (mask.ravel()[~free] > 0)
    expected = np.linalg.solve(matrix[free][:, free] + 0.3 * np.eye(free.sum()), right)
    ours = solve_alpha(image, mask, 3).ravel()[free]
    np.testing.assert_allclose(ours / 255, expected.clip(0, 1), atol=0.01)


def test_a_thin_line_is_kept() -> None:
    """It has no pixel that is farther from the edge than the band is wide."""
    truth = np.zeros(SIZE)
    cv2.line(truth, (4, 10), (120, 80), 1.0, 2)
    mask = as_mask(truth)
    alpha = solve_alpha(over_two_grounds(truth), mask, BAND)
    assert alpha[mask > 0].mean() > 0.85 * 255
    assert alpha[mask == 0].mean() < 0.05 * 255


def test_a_subject_may_leave_the_picture() -> None:
    mask = np.zeros(SIZE, np.uint8)
    mask[:, 70:] = 255
    alpha = solve_alpha(over_two_grounds(mask / 255), mask, BAND)
    assert alpha[0, 127] == alpha[-1, 127] == 255
    assert np.abs(alpha.astype(int) - mask).mean() < 8


@pytest.mark.parametrize("value", [0, 255])
def test_a_mask_without_an_edge_has_nothing_to_solve(value: int) -> None:
    assert solve_alpha(np.zeros((8, 8, 3), np.uint8), np.full((8, 8), value, np.uint8), 3) is None


def test_no_solution_is_none_and_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(solve, "_ITERATIONS", 0)
    truth = soft_disc()
    image, mask = over_two_grounds(truth), as_mask(truth)
    assert cached_alpha(image, mask, BAND, tmp_path / "x") is None
    assert not list(tmp_path.iterdir())


def test_the_cache_knows_what_it_holds(tmp_path: Path) -> None:
    truth = soft_disc()
    image, mask = over_two_grounds(truth), as_mask(truth)
    first = cached_alpha(image, mask, BAND, tmp_path / "a" / "x.1")
    (file,) = (tmp_path / "a").iterdir()
    file.write_bytes(file.read_bytes()[:100])  # damaged: solved again
    np.testing.assert_array_equal(cached_alpha(image, mask, BAND, tmp_path / "a" / "x.1"), first)
    other = cached_alpha(image[::-1].copy(), mask[::-1].copy(), BAND, tmp_path / "a" / "x.1")
    np.testing.assert_allclose(other[::-1].astype(int), first, atol=2)
    cached_alpha(image, mask, BAND - 2, tmp_path / "a" / "x.1")
    assert len(list((tmp_path / "a").iterdir())) == 3


def test_without_pymatting_the_remedy_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymatting", None)
    with pytest.raises(SetupError, match=r"solve.*pip install 'cvunet-serve\[train\]'"):
        check_solver()

"""Against a direct solution."""

import numpy as np
import pytest

from serve_app.imaging.conjugate import descend


@pytest.mark.parametrize("scaled", [False, True])
def test_the_free_pixels_solve_their_part_of_the_system(scaled: bool) -> None:
    rng = np.random.default_rng(0)
    root = rng.normal(0, 1, (20, 20))
    matrix = root @ root.T + np.diag(rng.uniform(1, 30, 20))
    right, start = rng.normal(0, 1, (2, 4, 5)).astype(np.float32)
    free = rng.random((4, 5)) < 0.6
    found = descend(
        lambda x: (matrix @ x.ravel()).reshape(4, 5).astype(np.float32),
        right,
        start,
        free,
        60,
        np.diag(matrix).reshape(4, 5).astype(np.float32) if scaled else None,
    )
    inner, outer = matrix[free.ravel()][:, free.ravel()], matrix[free.ravel()][:, ~free.ravel()]
    expected = np.linalg.solve(inner, right[free] - outer @ start[~free])
    assert np.abs(found[free] - expected).max() < 1e-2
    assert np.array_equal(found[~free], start[~free])

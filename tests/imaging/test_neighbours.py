"""Neighbours against every distance there is; mixtures against what they were mixed of."""

import numpy as np
import pytest

from serve_app.imaging.neighbours import mixture, nearest


def test_the_nearest_are_those_of_all_distances() -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 1, (500, 5)).astype(np.float32)
    queries = rng.uniform(0, 1, (60, 5)).astype(np.float32)
    distances = np.linalg.norm(queries[:, None] - points, axis=2)
    expected = np.sort(distances, 1)[:, :7]
    found = nearest(points, queries, 7)
    assert np.allclose(np.take_along_axis(distances, found, 1), expected, atol=1e-6)


@pytest.mark.parametrize("points", [1, 3])
def test_fewer_points_than_asked_for_come_more_than_once(points: int) -> None:
    few = np.eye(5, dtype=np.float32)[:points]
    found = nearest(few, np.ones((4, 5), np.float32), 7)
    assert found.shape == (4, 7)
    assert found.min() >= 0
    assert found.max() < points


def test_a_mixture_finds_the_shares_of_what_was_mixed() -> None:
    """Three colours far from one line: their weights are the only ones that do it."""
    rng = np.random.default_rng(0)
    colours = np.array([[0.9, 0.1, 0.1], [0.1, 0.8, 0.2], [0.2, 0.1, 0.9]], np.float32)
    shares = rng.dirichlet((1, 1, 1), 20000).astype(np.float32)  # more than are done at once
    neighbours = np.broadcast_to(colours, (20000, 3, 3))
    found = mixture(shares @ colours, lambda rows: neighbours[rows], 3)
    assert np.abs(found - shares).max() < 0.01
    assert np.allclose(found.sum(1), 1, atol=1e-5)


def test_neighbours_of_one_colour_share_alike() -> None:
    grey = np.full((1, 4, 3), 0.5, np.float32)
    assert np.allclose(mixture(grey[:, 0], lambda rows: grey[rows], 4), 0.25)

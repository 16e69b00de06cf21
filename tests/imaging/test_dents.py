"""Spots of known alpha in a solid disc: those that are nearly solid are filled, nothing else."""

import cv2
import numpy as np
import pytest

from serve_app.imaging.dents import fill_dents


def disc(*spots: tuple[tuple[int, int], int, int], size: tuple[int, int] = (576, 1024)):
    """A solid disc with a soft edge, and spots in it: centre (x, y), radius in px and alpha."""
    alpha = np.zeros(size, np.uint8)
    cv2.circle(alpha, (300, 250), 200, 255, -1)
    alpha = cv2.GaussianBlur(alpha, (0, 0), 2)
    for centre, radius, level in spots:
        cv2.circle(alpha, centre, radius, level, -1)
    return alpha


@pytest.mark.parametrize("size", [(576, 1024), (2304, 4096), (577, 641), (500, 700)])
@pytest.mark.parametrize(("radius", "level"), [(0, 249), (5, 200), (60, 225)])
def test_a_dent_is_filled(size: tuple[int, int], radius: int, level: int) -> None:
    alpha = disc(((310, 260), radius, level), size=size)
    before = alpha.copy()
    assert np.array_equal(fill_dents(alpha), disc(size=size))
    assert np.array_equal(alpha, before)


@pytest.mark.parametrize(
    ("centre", "radius", "level"),
    [
        ((300, 250), 40, 199),  # thin enough for glass
        ((300, 250), 40, 0),  # a hole
        ((300, 60), 20, 220),  # at the edge, open to the background
        ((300, 250), 40, 250),  # solid already
    ],
)
def test_what_is_no_dent_stays(centre: tuple[int, int], radius: int, level: int) -> None:
    alpha = disc((centre, radius, level))
    assert fill_dents(alpha) is alpha


def test_a_glass_whose_middle_is_nearly_solid_stays() -> None:
    alpha = disc(((300, 250), 60, 120), ((300, 250), 30, 220))
    assert fill_dents(alpha) is alpha


@pytest.mark.parametrize("size", [(1, 1), (1, 900), (900, 1), (40, 50)])
@pytest.mark.parametrize("level", [0, 220, 255])
def test_one_value_is_left_alone(size: tuple[int, int], level: int) -> None:
    alpha = np.full(size, level, np.uint8)
    assert fill_dents(alpha) is alpha

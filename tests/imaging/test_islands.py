"""Discs of known alpha: faint ones apart from the subject go, everything else stays to the bit."""

import cv2
import numpy as np
import pytest

from serve_app.imaging.islands import clear_islands

SUBJECT = ((300, 250), 120, 255)


def discs(*parts: tuple[tuple[int, int], int, int], size: tuple[int, int] = (576, 1024)):
    """Circles, each with its centre (x, y), radius in px and alpha: uint8 `[H, W]`."""
    alpha = np.zeros(size, np.uint8)
    for centre, radius, level in parts:
        cv2.circle(alpha, centre, radius, level, -1, cv2.LINE_AA)
    return alpha


@pytest.mark.parametrize("size", [(576, 1024), (2304, 4096), (577, 641), (500, 700)])
@pytest.mark.parametrize(("radius", "level"), [(1, 9), (2, 60), (20, 40), (20, 63)])
def test_a_faint_island_goes(size: tuple[int, int], radius: int, level: int) -> None:
    subject = discs(SUBJECT, size=size)
    alpha = np.maximum(subject, discs(((600, 430), radius, level), size=size))
    before = alpha.copy()
    assert np.array_equal(clear_islands(alpha), subject)
    assert np.array_equal(alpha, before)


@pytest.mark.parametrize(
    ("centre", "radius", "level"),
    [
        ((700, 300), 3, 64),  # a quarter there, however small: a far thing
        ((700, 300), 45, 50),  # a glass: faint, and more than a tenth of the subject
        ((425, 250), 4, 50),  # touches the subject
        ((425, 250), 2, 60),  # a strand broken off, 3 px from it
    ],
)
def test_what_is_no_faint_island_stays(centre: tuple[int, int], radius: int, level: int) -> None:
    alpha = discs(SUBJECT, (centre, radius, level))
    assert clear_islands(alpha) is alpha


@pytest.mark.parametrize("size", [(1, 1), (1, 900), (900, 1), (40, 50)])
@pytest.mark.parametrize("level", [0, 30, 255])
def test_one_thing_or_none_is_left_alone(size: tuple[int, int], level: int) -> None:
    alpha = np.full(size, level, np.uint8)
    assert clear_islands(alpha) is alpha


def test_the_largest_of_nothing_but_faint_things_stays() -> None:
    alpha = discs(((300, 250), 120, 60), ((700, 300), 20, 60))
    assert np.array_equal(clear_islands(alpha), discs(((300, 250), 120, 60)))

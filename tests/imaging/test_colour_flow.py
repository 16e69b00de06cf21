"""What colours say, on composites whose alpha is known."""

import cv2
import numpy as np
import pytest

from serve_app.imaging.colour_flow import flow
from serve_app.types import BACKGROUND, FOREGROUND, UNKNOWN
from tests.imaging.strands import composite_of, strands, trimap_around


def test_strands_are_found_and_said_to_be_of_other_colours() -> None:
    truth = strands()
    trimap = trimap_around(truth)
    found = flow(composite_of(truth), trimap, np.full_like(truth, 128))
    band = trimap == UNKNOWN
    assert found is not None
    for alpha in (found.near, found.solved, found.share):
        assert np.abs(alpha - truth / 255)[band].mean() < 0.03
        assert (alpha[trimap == FOREGROUND] == 1).all()
        assert (alpha[trimap == BACKGROUND] == 0).all()
    inner = cv2.erode(band.astype(np.uint8), np.ones((9, 9))) > 0
    squared = np.mean((np.array([60, 40, 30]) - (170, 190, 210)) ** 2) / 255**2
    assert np.median(found.apart[inner]) == pytest.approx(squared, rel=0.15)
    shown = truth[inner] == 0  # bare wall: no distance to the known one
    assert np.median(found.to_background[inner][shown]) < 0.01
    assert np.median(found.to_foreground[inner][shown]) > 0.3


def test_leaves_in_the_gaps_of_which_nothing_is_known() -> None:
    """Holes that no known pixel touches: colours next to each other cannot tell them, alike can."""
    truth = np.full((400, 400), 255, np.uint8)
    truth[:, 300:] = 0
    for y in range(60, 340, 70):
        for x in range(60, 250, 70):
            cv2.circle(truth, (x, y), 12, 0, -1)
    trimap = np.where(truth == 0, BACKGROUND, FOREGROUND).astype(np.uint8)
    holes = cv2.dilate((truth == 0).astype(np.uint8), np.ones((13, 13))) > 0
    holes[:, 280:] = False
    trimap[holes] = UNKNOWN
    found = flow(composite_of(truth), trimap, np.full_like(truth, 255))
    assert found is not None
    off = {
        name: np.abs(getattr(found, name) - truth / 255)[holes].mean() for name in found.__slots__
    }
    assert off["solved"] < 0.1
    assert off["solved"] < 0.5 * off["near"]


def test_the_same_comes_out_every_time() -> None:
    truth = strands()
    given = composite_of(truth), trimap_around(truth), np.full_like(truth, 128)
    one, other = flow(*given), flow(*given)
    assert one is not None
    assert other is not None
    assert np.array_equal(one.solved, other.solved)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (5, 3), (30, 30)])
def test_thin_images_and_single_known_pixels(size: tuple[int, int]) -> None:
    trimap = np.full(size, UNKNOWN, np.uint8)
    trimap[0, 0], trimap[-1, -1] = BACKGROUND, FOREGROUND
    found = flow(np.zeros((*size, 3), np.uint8), trimap, np.full(size, 99, np.uint8))
    assert found is None or np.isfinite(found.solved).all()

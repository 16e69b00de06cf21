"""What a given trimap makes of hair, of plain edges and of a network that is mistaken."""

import cv2
import numpy as np
import pytest

from serve_app.imaging.band import solve_band
from serve_app.imaging.colour_flow import flow
from serve_app.imaging.matte import honour_trimap, trimap_of
from serve_app.types import BACKGROUND, FOREGROUND, UNKNOWN
from tests.imaging.strands import composite_of, strands, trimap_around


def band_error(alpha: np.ndarray, truth: np.ndarray, trimap: np.ndarray) -> float:
    return float(np.abs(alpha - truth.astype(float))[trimap == UNKNOWN].mean() / 255)


def test_hazy_hair_becomes_strands() -> None:
    truth = strands()
    trimap, haze = trimap_around(truth), cv2.GaussianBlur(truth, (0, 0), 8)
    found = solve_band(haze, composite_of(truth), trimap)
    before = band_error(honour_trimap(haze, trimap), truth, trimap)
    assert band_error(found, truth, trimap) < 0.25 * before
    assert np.array_equal(found, honour_trimap(found, trimap))


@pytest.mark.parametrize("said", [BACKGROUND, FOREGROUND])
def test_a_network_that_took_something_else_for_the_subject_is_overruled(said: int) -> None:
    """Near the known pixels that it contradicts; further off it may be right."""
    truth = strands()
    trimap, alpha = trimap_around(truth), np.full(truth.shape, said, np.uint8)
    found = solve_band(alpha, composite_of(truth), trimap)
    before = band_error(honour_trimap(alpha, trimap), truth, trimap)
    assert band_error(found, truth, trimap) < 0.75 * before


@pytest.mark.parametrize("textured", [False, True])
def test_a_plain_edge_stays_nearly_as_the_network_has_it(textured: bool) -> None:
    """Subject and background of one colour, where colours tell lies."""
    alpha = np.zeros((300, 400), np.uint8)
    cv2.circle(alpha, (200, 150), 90, 255, -1, cv2.LINE_AA)
    alpha = cv2.GaussianBlur(alpha, (3, 3), 0)
    image = np.full((300, 400, 3), 120, np.uint8)
    if textured:
        image = np.random.default_rng(0).integers(0, 256, image.shape, np.uint8)
    trimap = trimap_of(alpha)
    lies = flow(image, trimap, alpha)
    assert lies is not None
    lied = band_error(lies.solved * 255, alpha, trimap)
    assert lied > 0.2
    assert band_error(solve_band(alpha, image, trimap), alpha, trimap) < lied / 8


@pytest.mark.parametrize("kind", [BACKGROUND, UNKNOWN, FOREGROUND])
def test_one_kind_of_known_pixels_alone_is_only_put_in(kind: int) -> None:
    truth = strands()
    haze = cv2.GaussianBlur(truth, (0, 0), 8)
    trimap = np.full(truth.shape, UNKNOWN, np.uint8)
    trimap[:20] = kind
    found = solve_band(haze, composite_of(truth), trimap)
    assert np.array_equal(found, honour_trimap(haze, trimap))


def test_far_from_all_that_is_known_the_network_stays() -> None:
    truth = strands()
    haze = cv2.GaussianBlur(truth, (0, 0), 8)
    trimap = np.full(truth.shape, UNKNOWN, np.uint8)
    trimap[230:250, 420:440], trimap[230:250, 530:550] = FOREGROUND, BACKGROUND
    found = solve_band(haze, composite_of(truth), trimap)
    far = np.s_[:, :340]
    assert np.array_equal(found[far], haze[far])
    assert not np.array_equal(found, honour_trimap(haze, trimap))

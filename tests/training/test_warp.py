import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from tests.training.conftest import disc
from training.data import Photo, make_photo
from training.warp import Affine, Drawing, Placement, warp


@pytest.fixture
def photo() -> Photo:
    alpha = disc((120, 160), (40, 110), 22)
    image = np.repeat(alpha[..., None], 3, 2)  # so that image and alpha must stay the same
    trusted = np.full_like(alpha, 255)
    return make_photo("disc", "test", False, image, alpha, trusted, torch.device("cpu"))


def drawn(photo: Photo, affine: Affine, size: tuple[int, int], *, border: bool) -> torch.Tensor:
    """[5, H, W]"""
    return warp([Drawing(photo, affine, border)], size)[0]


def centre(alpha: torch.Tensor) -> tuple[float, float]:
    y, x = ndimage.center_of_mass(alpha.numpy())
    return x + 0.5, y + 0.5


def test_a_plain_copy_is_exact(photo: Photo) -> None:
    copy = drawn(photo, (1, 0, 0, 0, 1, 0), (120, 160), border=True)
    torch.testing.assert_close(copy, photo.levels[0] / 255, atol=1e-5, rtol=0)


@pytest.mark.parametrize("scale", [0.3, 0.5, 0.9, 1.7])
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("angle", [0.0, 0.6])
def test_the_anchor_lands_on_its_target(
    photo: Photo, scale: float, flip: bool, angle: float
) -> None:
    where = Placement((110.5, 40.5), (70.0, 60.0), scale, stretch=1.2, angle=angle, flip=flip)
    canvas = drawn(photo, where.affine(), (128, 160), border=False)
    assert centre(canvas[3]) == pytest.approx((70, 60), abs=0.3)
    assert float(canvas[3].sum()) == pytest.approx(math.pi * 22**2 * scale**2, rel=0.03)


def test_image_and_alpha_move_together(photo: Photo) -> None:
    where = Placement((100, 50), (50, 30), 0.43, stretch=0.9, angle=-0.4, flip=True)
    canvas = drawn(photo, where.affine(), (64, 96), border=True)
    torch.testing.assert_close(canvas[0], canvas[3], atol=1.5 / 255, rtol=0)  # a level's rounding


def test_beyond_its_edge_a_photo_repeats_or_ends(photo: Photo) -> None:
    where = Placement((0, 0), (20, 20), 1.0).affine()
    assert float(drawn(photo, where, (64, 64), border=True)[4].min()) > 1 - 1e-6
    cut = drawn(photo, where, (64, 64), border=False)[4]
    assert float(cut[:20, :20].max()) < 0.6
    assert float(cut[21:, 21:].min()) > 1 - 1e-6


def test_photos_drawn_together_are_those_drawn_alone(photo: Photo) -> None:
    places = [
        Placement((100, 50), (50, 30), 0.43, angle=-0.4),
        Placement((0, 0), (20, 20), 1.0),
        Placement((60, 60), (32, 32), 2.5, flip=True),
    ]
    for border in (True, False):
        drawings = [Drawing(photo, place.affine(), border) for place in places]
        together = warp(drawings, (64, 96))
        for one, drawing in zip(together, drawings, strict=True):
            torch.testing.assert_close(one, warp([drawing], (64, 96))[0], atol=1e-4, rtol=0)

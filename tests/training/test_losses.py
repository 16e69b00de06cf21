import math

import pytest
import torch

from training import losses


def plane(value: float, size: tuple[int, int] = (16, 16)) -> torch.Tensor:
    return torch.full((2, 1, *size), float(value))


def ramp(slope: float) -> torch.Tensor:
    return (torch.arange(16.0) * slope).expand(2, 1, 16, 16)


def test_absolute_is_the_mean_difference() -> None:
    assert losses.absolute(plane(0.7), plane(0.2), plane(1)).item() == pytest.approx(0.5)


def test_untrusted_pixels_do_not_count() -> None:
    alpha, trusted = plane(0.0), plane(1.0)
    alpha[..., :4], trusted[..., :4] = 1.0, 0.0
    assert losses.absolute(alpha, plane(0), trusted).item() == 0
    assert losses.absolute(alpha, plane(0), plane(0)).item() == 0  # not NaN


def test_cross_entropy_of_a_guess_is_log_2() -> None:
    found = losses.cross_entropy(plane(0.0), plane(1.0), plane(1))
    assert found.item() == pytest.approx(math.log(2))


def test_dice_is_0_for_a_match_and_counts_each_picture() -> None:
    truth = plane(0.0)
    truth[:, :, :8] = 1
    assert losses.dice(truth, truth, plane(1)).item() == pytest.approx(0)
    smooth = 0.005 * 256
    expected = 1 - smooth / (256 + smooth)  # no overlap: 128 found, 128 there
    assert losses.dice(1 - truth, truth, plane(1)).item() == pytest.approx(expected)


def test_dice_of_an_empty_picture_costs_what_is_found() -> None:
    assert losses.dice(plane(0), plane(0), plane(1)).item() == pytest.approx(0)
    assert losses.dice(plane(1), plane(0), plane(1)).item() > 0.9


def test_segmentation_judges_at_the_coarse_size() -> None:
    truth = plane(0.0)
    truth[..., 8:] = 1
    right = torch.where(torch.arange(4) < 2, -20.0, 20.0).expand(2, 1, 4, 4)
    assert losses.segmentation(right, truth, plane(1)).item() == pytest.approx(0, abs=1e-4)
    assert losses.segmentation(-right, truth, plane(1)).item() > 10


def test_gradient_is_the_difference_of_slopes() -> None:
    assert losses.gradient(ramp(0.05), ramp(0.02), plane(1)).item() == pytest.approx(0.03, rel=1e-4)
    assert losses.gradient(plane(0.9), plane(0.1), plane(1)).item() == pytest.approx(0)


def test_laplacian_ignores_what_is_smooth_and_sees_what_is_not() -> None:
    wide = 64, 1024  # so that the edges, where the filter sees no stripes, matter little
    even = losses.laplacian(plane(0.6, wide), plane(0.5, wide), plane(1, wide))
    assert even.item() == pytest.approx(0, abs=1e-6)
    stripes = (torch.arange(1024) % 2).float().expand(2, 1, *wide)
    fine = losses.laplacian(stripes, plane(0.5, wide), plane(1, wide))
    # The pyramid's filter removes the finest stripes, so level 0 holds all of them: 0.5 a pixel.
    assert fine.item() == pytest.approx(0.5 / 2**5, rel=0.05)


def test_gaussian_keeps_the_mean_and_has_binomial_variance() -> None:
    impulse = torch.zeros(1, 1, 11, 11)
    impulse[..., 5, 5] = 1
    found = losses.gaussian(impulse)[0, 0]
    assert found.sum().item() == pytest.approx(1)
    offsets = torch.arange(11.0) - 5
    assert (found.sum(0) * offsets**2).sum().item() == pytest.approx(1)

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import fft, ndimage

from training import augment


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture
def image(rng: torch.Generator) -> torch.Tensor:
    coarse = torch.rand(3, 3, 8, 8, generator=rng)
    return torch.nn.functional.interpolate(coarse, size=(64, 64), mode="bilinear")


def test_a_picture_stays_a_picture(image: torch.Tensor, rng: torch.Generator) -> None:
    for _ in range(5):
        done = augment.photograph(image, rng)
        assert done.shape == image.shape
        assert 0 <= float(done.min()) <= float(done.max()) <= 1


def test_the_seed_decides(image: torch.Tensor) -> None:
    one, two = (augment.photograph(image, torch.Generator().manual_seed(5)) for _ in range(2))
    torch.testing.assert_close(one, two, rtol=0, atol=0)


def test_sometimes_changes_a_share(rng: torch.Generator) -> None:
    image = torch.zeros(4000, 1, 1, 1)
    changed = augment.sometimes(0.3, lambda x: x + 1, image, rng)
    assert float(changed.mean()) == pytest.approx(0.3, abs=0.03)
    assert float(image.max()) == 0


@pytest.mark.parametrize("sigma", [0.6, 1.5, 3.0])
def test_blur_is_gaussian(image: torch.Tensor, sigma: float) -> None:
    found = augment.blur(image, torch.full((3, 1, 1, 1), sigma))
    for ours, theirs in zip(found.flatten(0, 1), image.flatten(0, 1), strict=True):
        expected = ndimage.gaussian_filter(theirs.numpy(), sigma, mode="nearest", truncate=4)
        np.testing.assert_allclose(ours, expected, atol=0.01)


def test_each_picture_has_its_own_blur(image: torch.Tensor) -> None:
    both = augment.blur(image[:2], torch.tensor([0.5, 2.0]).view(2, 1, 1, 1))
    alone = augment.blur(image[1:2], torch.tensor([2.0]).view(1, 1, 1, 1))
    torch.testing.assert_close(both[1:], alone)


def test_cosines_are_the_dct() -> None:
    block = np.random.default_rng(0).normal(size=(8, 8))
    basis = augment.cosine_basis(torch.device("cpu")).double().numpy()
    np.testing.assert_allclose(basis @ block @ basis.T, fft.dctn(block, norm="ortho"), atol=1e-5)


def test_jpeg_loses_what_a_jpeg_loses(image: torch.Tensor, tmp_path) -> None:
    """Against Pillow's encoder, quality for quality, without chroma subsampling as ours is."""
    pixels = (image[0] * 255).round().byte().permute(1, 2, 0).numpy()
    for quality in (30, 60, 90):
        ours = augment.jpeg(torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255, one(quality))
        Image.fromarray(pixels).save(tmp_path / "x.jpg", quality=quality, subsampling=0)
        theirs = np.asarray(Image.open(tmp_path / "x.jpg")).astype(float)
        found = ours[0].permute(1, 2, 0).numpy() * 255
        assert np.abs(found - theirs).mean() < 1.1  # rounding of colours on the way
        ours_lost, theirs_lost = (np.abs(x - pixels).mean() for x in (found, theirs))
        assert ours_lost == pytest.approx(theirs_lost, rel=0.06)


def one(value: float) -> torch.Tensor:
    return torch.full((1, 1, 1, 1), float(value))


def test_noise_stays_under_its_limit(rng: torch.Generator) -> None:
    grey = torch.full((8, 3, 32, 32), 0.5)
    strength = augment.noise(grey, rng).std((1, 2, 3))
    assert 0 < float(strength.max()) < 0.065


def test_a_shadow_falls_beside_the_subject_and_only_darkens(rng: torch.Generator) -> None:
    alpha = torch.zeros(1, 1, 64, 64)
    alpha[..., 16:48, 16:48] = 1
    ground = torch.full((1, 3, 64, 64), 0.8)
    shaded = augment.shadow(ground, alpha, 1.0, rng)
    assert float(shaded.max()) <= 0.8 + 1e-6
    assert float(shaded[..., 24:40, 24:40].mean()) < 0.75 < float(shaded[..., :4, :4].mean())

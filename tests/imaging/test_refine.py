"""Alpha brought up from a quarter of its size, against the alpha it was made from."""

import cv2
import numpy as np
import pytest

from serve_app.imaging.refine import upsample_alpha


def shrunk(array: np.ndarray, factor: float) -> np.ndarray:
    size = (round(array.shape[1] / factor), round(array.shape[0] / factor))
    return cv2.resize(array, size, interpolation=cv2.INTER_AREA)


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    """A disc with fine strands, none wider than 3 px."""
    alpha = np.zeros((480, 640), np.uint8)
    cv2.circle(alpha, (320, 240), 120, 255, -1)
    for angle in np.linspace(0, 2 * np.pi, 90, endpoint=False):
        direction = np.array([np.cos(angle), np.sin(angle)])
        start, end = (np.rint(np.array([320, 240]) + direction * r) for r in (110, 210))
        cv2.line(alpha, start.astype(int), end.astype(int), 255, 2, cv2.LINE_AA)
    return cv2.GaussianBlur(alpha, (3, 3), 0)


@pytest.fixture(scope="module")
def image(truth: np.ndarray) -> np.ndarray:
    """Dark hair before a lighter wall, both a little noisy."""
    a = truth[..., None] / 255
    noise = np.random.default_rng(0).normal(0, 3, (*truth.shape, 3))
    return np.clip(a * (60, 40, 30) + (1 - a) * (170, 190, 210) + noise, 0, 255).astype(np.uint8)


def gradient_error(found: np.ndarray, truth: np.ndarray) -> float:
    slopes = [
        [cv2.Sobel(x.astype(np.float32), cv2.CV_32F, *axis) for axis in ((1, 0), (0, 1))]
        for x in (found, truth)
    ]
    return float(np.square(np.subtract(*slopes)).sum())


@pytest.mark.parametrize("factor", [2, 2.7, 4])
def test_guided_keeps_strands_that_bicubic_loses(
    factor: float, truth: np.ndarray, image: np.ndarray
) -> None:
    alpha = shrunk(truth, factor)
    plain = upsample_alpha(alpha, image, truth.shape, "none")
    guided = upsample_alpha(alpha, image, truth.shape, "guided")
    assert gradient_error(guided, truth) < 0.75 * gradient_error(plain, truth)
    assert np.abs(guided - truth.astype(int)).sum() < 0.92 * np.abs(plain - truth.astype(int)).sum()


@pytest.mark.parametrize("method", ["none", "guided"])
def test_solid_areas_stay_exactly_so(method: str, truth: np.ndarray) -> None:
    # A guide full of texture, which must not show in the matte.
    texture = np.random.default_rng(1).integers(0, 256, (*truth.shape, 3), np.uint8)
    out = upsample_alpha(shrunk(truth, 4), texture, truth.shape, method)
    around = np.ones((25, 25), np.uint8)  # 3 px at the small size, at full size
    assert (out[cv2.erode(truth, around) == 255] == 255).all()
    assert (out[cv2.dilate(truth, around) == 0] == 0).all()


@pytest.fixture(scope="module")
def ramp() -> np.ndarray:
    """Analytic: a straight edge that alpha crosses within 12 px, 0 and 255 beside it."""
    x = np.arange(400, dtype=np.float32)
    return np.repeat((np.clip((x - 194) / 12, 0, 1) * 255).round().astype(np.uint8)[None], 200, 0)


@pytest.mark.parametrize("factor", [2, 4])
def test_texture_does_not_bleed_into_flat_areas(factor: int, ramp: np.ndarray) -> None:
    """A textured subject on a textured background, composited with a known alpha."""
    rng = np.random.default_rng(2)
    front, back = (rng.integers(low, low + 60, (*ramp.shape, 3)) for low in (20, 170))
    a = ramp[..., None] / 255
    image = (a * front + (1 - a) * back).round().astype(np.uint8)
    alpha = shrunk(ramp, factor)
    guided = upsample_alpha(alpha, image, ramp.shape, "guided").astype(int)
    reach = 6 + 2 * factor  # half the ramp, and two pixels of the small size
    assert not guided[:, : 200 - reach].any()
    assert (guided[:, 200 + reach :] == 255).all()
    band = np.abs(guided - ramp)[:, 200 - reach : 200 + reach]
    assert band.mean() < 12


def test_haze_that_nobody_sees_takes_on_no_texture(truth: np.ndarray) -> None:
    haze = np.full((120, 160), 5, np.uint8)
    texture = np.random.default_rng(1).integers(0, 256, (480, 640, 3), np.uint8)
    assert (upsample_alpha(haze, texture, (480, 640), "guided") == 5).all()


def test_the_networks_own_picture_serves_as_the_small_one(
    truth: np.ndarray, image: np.ndarray
) -> None:
    alpha, small = shrunk(truth, 2.7), shrunk(image, 2.7)
    given = upsample_alpha(alpha, image, truth.shape, "guided", small)
    assert np.array_equal(given, upsample_alpha(alpha, image, truth.shape, "guided"))


def test_a_flat_guide_adds_nothing(truth: np.ndarray) -> None:
    alpha = shrunk(truth, 4)
    flat = np.full((*truth.shape, 3), 90, np.uint8)
    guided = upsample_alpha(alpha, flat, truth.shape, "guided")
    plain = upsample_alpha(alpha, flat, truth.shape, "none")
    assert np.abs(guided - plain.astype(int)).max() <= 1


def test_tiles_leave_no_seams(monkeypatch: pytest.MonkeyPatch, truth: np.ndarray) -> None:
    image = cv2.GaussianBlur(
        np.random.default_rng(1).integers(0, 256, (*truth.shape, 3), np.uint8), (0, 0), 2
    )
    alpha = shrunk(truth, 2.7)
    tiled = upsample_alpha(alpha, image, truth.shape, "guided")
    monkeypatch.setattr("serve_app.imaging.refine._TILE", 10_000)
    whole = upsample_alpha(alpha, image, truth.shape, "guided")
    assert np.abs(tiled - whole.astype(int)).max() <= 1


@pytest.mark.parametrize("method", ["none", "guided"])
def test_equal_size_is_the_same_array(method: str, truth: np.ndarray, image: np.ndarray) -> None:
    assert upsample_alpha(truth, image, truth.shape, method) is truth


def test_a_smaller_size_is_averaged(truth: np.ndarray, image: np.ndarray) -> None:
    out = upsample_alpha(truth, image[::2, ::2], (240, 320), "guided")
    expected = truth.reshape(240, 2, 320, 2).mean((1, 3))
    assert np.abs(out - expected).max() <= 0.51


@pytest.mark.parametrize("size", [(1, 9), (9, 1), (3, 200)])
@pytest.mark.parametrize("method", ["none", "guided"])
def test_thin_images(method: str, size: tuple[int, int]) -> None:
    alpha = np.full((1, 1), 99, np.uint8)
    out = upsample_alpha(alpha, np.zeros((*size, 3), np.uint8), size, method)
    assert out.tolist() == np.full(size, 99).tolist()

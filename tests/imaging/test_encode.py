"""Each format, read back with Pillow."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from serve_app.errors import InvalidOption
from serve_app.imaging.encode import encode_cutout, encode_image, encode_zip

RNG = np.random.default_rng(0)
DPI = (300.0, 72.0)


def read(body: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(body))
    image.load()
    return image


@pytest.fixture
def picture() -> np.ndarray:
    """A smooth picture, so that a lossy format stays close to it."""
    y, x = np.mgrid[0:48, 0:64]
    return np.stack([4 * x, 5 * y, 2 * (x + y)], axis=-1).astype(np.uint8)


@pytest.fixture
def alpha() -> np.ndarray:
    ramp = np.linspace(-0.5, 1.5, 64).clip(0, 1) * 255
    return np.tile(ramp.astype(np.uint8), (48, 1))


@pytest.mark.parametrize("format", ["png", "webp"])
def test_a_cutout_is_lossless_where_it_is_seen(
    format: str, picture: np.ndarray, alpha: np.ndarray
) -> None:
    out = np.asarray(read(encode_cutout(picture, alpha, format)))
    assert np.array_equal(out[..., 3], alpha)
    seen = alpha > 0
    assert np.array_equal(out[seen][:, :3], picture[seen])
    assert not out[~seen].any(), "colour of what was cut out is still in the file"


def test_the_arrays_given_are_not_changed(picture: np.ndarray, alpha: np.ndarray) -> None:
    before = picture.copy(), alpha.copy()
    encode_cutout(picture, alpha, "png")
    assert np.array_equal(picture, before[0])
    assert np.array_equal(alpha, before[1])


@pytest.mark.parametrize("format", ["png", "webp", "jpeg"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_format_holds_matte_and_picture(
    format: str, channels: int, picture: np.ndarray, alpha: np.ndarray
) -> None:
    image = alpha if channels == 1 else picture
    out = read(encode_image(image, format)).convert("L" if channels == 1 else "RGB")
    assert np.abs(np.asarray(out, int) - image).mean() < 1.5


def test_webp_is_lossy_only_with_quality(picture: np.ndarray) -> None:
    noise = RNG.integers(0, 256, picture.shape, np.uint8)
    assert np.array_equal(np.asarray(read(encode_image(noise, "webp"))), noise)
    assert len(encode_image(noise, "webp", 50)) < len(encode_image(noise, "webp")) / 2


def test_jpeg_quality_and_full_chroma(picture: np.ndarray) -> None:
    assert len(encode_image(picture, "jpeg", 30)) < len(encode_image(picture, "jpeg", 95))
    stripes = np.zeros((32, 32, 3), np.uint8)
    stripes[:, ::2] = 255, 0, 0
    stripes[:, 1::2] = 0, 0, 255
    out = np.asarray(read(encode_image(stripes, "jpeg", 95)), int)
    assert np.abs(out - stripes).max() < 40, "colours of neighbouring pixels ran into each other"


@pytest.mark.parametrize("format", ["png", "jpeg", "webp"])
def test_only_the_resolution_is_kept(format: str, picture: np.ndarray) -> None:
    out = read(encode_image(picture, format, None, DPI))
    exif = out.getexif()
    found = (exif[0x011A], exif[0x011B]) if format == "webp" else out.info["dpi"]
    assert tuple(map(float, found)) == pytest.approx(DPI, abs=0.02)
    assert set(exif) <= {0x011A, 0x011B, 0x0128}
    assert "icc_profile" not in out.info


@pytest.mark.parametrize("format", ["png", "jpeg", "webp"])
def test_no_resolution_means_none(format: str, picture: np.ndarray) -> None:
    out = read(encode_image(picture, format))
    assert not out.getexif()
    assert out.info.get("dpi", (1, 1)) == (1, 1)


def test_zip_holds_colour_and_alpha_of_equal_size(picture: np.ndarray, alpha: np.ndarray) -> None:
    with zipfile.ZipFile(io.BytesIO(encode_zip(picture, alpha, None, DPI))) as archive:
        assert archive.namelist() == ["color.jpg", "alpha.png"]
        color, matte = (read(archive.read(name)) for name in archive.namelist())
    assert (color.mode, matte.mode) == ("RGB", "L")
    assert color.size == matte.size
    assert np.array_equal(np.asarray(matte), alpha)
    assert encode_cutout(picture, alpha, "zip", None, DPI) == encode_zip(picture, alpha, None, DPI)


def test_jpeg_refuses_alpha(picture: np.ndarray, alpha: np.ndarray) -> None:
    with pytest.raises(InvalidOption, match="png or webp"):
        encode_cutout(picture, alpha, "jpeg")


def test_a_side_that_webp_cannot_hold() -> None:
    with pytest.raises(InvalidOption, match="16383"):
        encode_image(np.zeros((1, 16_384), np.uint8), "webp")
    encode_image(np.zeros((1, 16_384), np.uint8), "png")


def test_zip_is_for_cutouts_only(picture: np.ndarray) -> None:
    with pytest.raises(InvalidOption, match="cutouts"):
        encode_image(picture, "zip")

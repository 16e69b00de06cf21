"""Each kind of file against Pillow or an analytic answer."""

import io
import random
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from serve_app.errors import InputError, InvalidImage
from serve_app.imaging.decode import decode
from serve_app.settings import Limits

LIMITS = Limits()


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    y, x = np.mgrid[0:30, 0:40]
    return Image.fromarray(np.stack([6 * x, 8 * y, 3 * (x + y)], axis=-1).astype(np.uint8))


def saved(image: Image.Image, format: str, **options: object) -> bytes:
    body = io.BytesIO()
    image.save(body, format, **options)
    return body.getvalue()


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF"])
@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1"])
def test_lossless_formats_and_modes(photo: Image.Image, format: str, mode: str) -> None:
    image = photo.convert(mode)
    source = decode(saved(image, format), LIMITS)
    assert np.array_equal(source.image, np.asarray(image.convert("RGB")))
    assert source.alpha is None
    assert source.image.flags.c_contiguous
    assert source.image.flags.writeable


@pytest.mark.parametrize("format", ["JPEG", "WEBP", "AVIF", "GIF"])
def test_lossy_formats_are_as_pillow_reads_them(photo: Image.Image, format: str) -> None:
    data = saved(photo, format)
    with Image.open(io.BytesIO(data)) as image:
        expected = np.asarray(image.convert("RGB"), int)
    assert np.abs(decode(data, LIMITS).image - expected).max() <= 1


@pytest.mark.parametrize("options", [{"progressive": True}, {"quality": 30}, {"subsampling": 0}])
def test_jpeg_kinds(photo: Image.Image, options: dict[str, object]) -> None:
    data = saved(photo, "JPEG", **options)
    with Image.open(io.BytesIO(data)) as image:
        assert np.abs(decode(data, LIMITS).image - np.asarray(image, int)).max() <= 1


def test_cmyk_jpeg_is_not_inverted() -> None:
    cmyk = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # red
    red = decode(saved(cmyk, "JPEG", quality=100), LIMITS).image.reshape(-1, 3).mean(0)
    assert np.abs(red - (255, 0, 0)).max() < 12


def test_lab_tiff(photo: Image.Image) -> None:
    to_lab = ImageCms.buildTransform(
        ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"
    )
    lab = ImageCms.applyTransform(photo, to_lab)
    found = decode(saved(lab, "TIFF"), LIMITS).image
    assert np.abs(found - np.asarray(photo, int)).mean() < 3


def test_sixteen_bit_grey_is_scaled_and_not_cut() -> None:
    values = np.linspace(0, 65_535, 256).astype(np.uint16)[None]
    source = decode(saved(Image.fromarray(values), "PNG"), LIMITS)
    assert np.array_equal(source.image[0, :, 0], np.rint(values[0] / 257))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.float32([[0, 0.5, 1]]), [0, 128, 255]),
        (np.float32([[0, 127.4, 255]]), [0, 127, 255]),
        (np.float32([[-100, 0, 100]]), [0, 128, 255]),
        (np.int32([[0, 257, 65_535]]), [0, 1, 255]),
        (np.int32([[0, 3, 200]]), [0, 3, 200]),
        (np.float32([[7, 7, 7]]), [7, 7, 7]),
        (np.float32([[-7, -7, -7]]), [0, 0, 0]),
    ],
)
def test_grey_of_32_bits(values: np.ndarray, expected: list[int]) -> None:
    source = decode(saved(Image.fromarray(values), "TIFF"), LIMITS)
    assert np.abs(source.image[0, :, 0] - np.array(expected)).max() <= 1


def test_grey_that_is_not_finite() -> None:
    values = np.float32([[0, np.nan, np.inf]])
    with pytest.raises(InvalidImage, match="finite"):
        decode(saved(Image.fromarray(values), "TIFF"), LIMITS)


@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP"])
def test_alpha_is_kept_and_colour_under_none_is_white(photo: Image.Image, format: str) -> None:
    alpha = np.tile(np.linspace(0, 255, 40).astype(np.uint8), (30, 1))
    image = photo.copy()
    image.putalpha(Image.fromarray(alpha))
    options = {"lossless": True, "exact": True} if format == "WEBP" else {}
    source = decode(saved(image, format, **options), LIMITS)
    assert source.alpha is not None
    assert np.array_equal(source.alpha, alpha)
    assert (source.image[alpha == 0] == 255).all()
    assert np.array_equal(source.image[alpha > 0], np.asarray(photo)[alpha > 0])


def test_opaque_alpha_is_none(photo: Image.Image) -> None:
    image = photo.convert("RGBA")
    assert decode(saved(image, "PNG"), LIMITS).alpha is None


@pytest.mark.parametrize(
    ("image", "transparency"),
    [
        (Image.fromarray(np.uint8([[0, 7]])), 7),
        (Image.fromarray(np.uint16([[0, 700]])), 700),
        (Image.fromarray(np.uint8([[[0, 0, 0], [1, 2, 3]]])), (1, 2, 3)),
        (Image.fromarray(np.uint8([[0, 7]])).convert("P"), bytes([255] * 7 + [0])),
        (Image.fromarray(np.uint8([[0, 255]])).convert("1"), 255),
    ],
)
def test_transparent_colour_of_a_png(image: Image.Image, transparency: object) -> None:
    source = decode(saved(image, "PNG", transparency=transparency), LIMITS)
    assert source.alpha is not None
    assert source.alpha.tolist() == [[255, 0]]


def test_grey_with_alpha() -> None:
    image = Image.merge("LA", [Image.new("L", (2, 2), 90), Image.new("L", (2, 2), 30)])
    source = decode(saved(image, "PNG"), LIMITS)
    assert source.image.tolist() == [[[90] * 3] * 2] * 2
    assert source.alpha is not None
    assert (source.alpha == 30).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_exif_orientation(photo: Image.Image, format: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if format == "WEBP" else {}
    data = saved(photo, format, exif=exif, dpi=(300, 72), **options)
    with Image.open(io.BytesIO(data)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image), int)
    source = decode(data, LIMITS)
    assert source.image.shape == expected.shape
    assert np.abs(source.image - expected).max() <= 1
    assert source.image.flags.c_contiguous


@pytest.mark.parametrize("exif", [b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0rubbish", b"x"])
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_broken_exif_is_ignored(photo: Image.Image, exif: bytes) -> None:
    assert decode(saved(photo, "JPEG", exif=exif), LIMITS).size == (30, 40)


def adobe_like_profile() -> bytes:
    """A profile with red and green swapped: what it does cannot be overlooked."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for i in range(struct.unpack(">I", profile[128:132])[0]):
        entry = 132 + 12 * i
        if profile[entry : entry + 4] == b"rXYZ":
            profile[entry : entry + 4] = b"gXYZ"
        elif profile[entry : entry + 4] == b"gXYZ":
            profile[entry : entry + 4] = b"rXYZ"
    return bytes(profile)


@pytest.mark.parametrize("format", ["PNG", "JPEG"])
def test_icc_profile_is_applied(format: str) -> None:
    red = Image.new("RGB", (16, 16), (250, 10, 10))
    options = {"quality": 100, "subsampling": 0} if format == "JPEG" else {}
    data = saved(red, format, icc_profile=adobe_like_profile(), **options)
    assert np.abs(decode(data, LIMITS).image - (10, 250, 10)).max() <= 8


def test_icc_keeps_alpha() -> None:
    image = Image.new("RGBA", (4, 4), (250, 10, 10, 77))
    source = decode(saved(image, "PNG", icc_profile=adobe_like_profile()), LIMITS)
    assert np.abs(source.image - (10, 250, 10)).max() <= 8
    assert source.alpha is not None
    assert (source.alpha == 77).all()


def test_srgb_profile_changes_nothing(photo: Image.Image) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    found = decode(saved(photo, "PNG", icc_profile=srgb), LIMITS).image
    assert np.array_equal(found, np.asarray(photo))


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_broken_icc_profile_is_ignored(photo: Image.Image, mode: str) -> None:
    image = photo.convert(mode)
    source = decode(saved(image, "TIFF", icc_profile=b"broken" * 30), LIMITS)
    assert np.array_equal(source.image, np.asarray(image.convert("RGB")))


def test_first_frame_of_an_animation(photo: Image.Image) -> None:
    other = Image.new("RGB", photo.size)
    for format in ("PNG", "WEBP", "GIF"):
        data = saved(photo, format, save_all=True, append_images=[other], lossless=True)
        assert decode(data, LIMITS).image.max() > 200


@pytest.mark.parametrize("format", ["PNG", "JPEG", "TIFF"])
def test_dpi(photo: Image.Image, format: str) -> None:
    assert decode(saved(photo, format, dpi=(300, 72)), LIMITS).dpi == pytest.approx(
        (300, 72), abs=0.02
    )


@pytest.mark.parametrize("dpi", [(0.2, 0.2), (1e6, 1e6)])
def test_senseless_dpi_is_dropped(photo: Image.Image, dpi: tuple[float, float]) -> None:
    assert decode(saved(photo, "TIFF", dpi=dpi), LIMITS).dpi is None


def test_turned_dpi_follows_the_image(photo: Image.Image) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    source = decode(saved(photo, "JPEG", exif=exif, dpi=(300, 72)), LIMITS)
    assert source.size == (40, 30)
    assert source.dpi == (72, 300)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF"])
@pytest.mark.parametrize("part", [0.3, 0.6, 0.9])
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_truncated(format: str, part: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    data = saved(Image.fromarray(noise), format)
    with pytest.raises(InvalidImage):
        decode(data[: int(part * len(data))], LIMITS)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF"])
@pytest.mark.filterwarnings("ignore::UserWarning:PIL", "ignore::RuntimeWarning:PIL")
def test_nothing_but_our_errors_escapes(photo: Image.Image, format: str) -> None:
    rng = random.Random(0)
    whole = saved(photo, format)
    for _ in range(150):
        data = bytearray(whole)
        for _ in range(rng.randint(1, 8)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        try:
            source = decode(bytes(data), LIMITS)
        except InputError:
            continue
        assert source.image.dtype == np.uint8
        assert source.image.shape[2] == 3

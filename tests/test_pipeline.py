"""The whole way in one process. The fake engine answers with the red channel, so every pixel of
an answer can be told from the picture that went in.
"""

import io
import zipfile
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from serve_app.engines.fake import FakeEngine
from serve_app.errors import InvalidImage
from serve_app.options import load_presets, resolve_options
from serve_app.pipeline import Pipeline
from serve_app.settings import Limits, Settings, resolve_path
from serve_app.types import Box, Result, Upload
from tests.conftest import encoded, picture
from tests.imaging.strands import composite_of, strands, trimap_around

PRESETS = load_presets(resolve_path(Settings().presets_path))
# Nothing but the network's own alpha.
PLAIN = {"alpha_threshold": 0, "erode": 0, "feather": 0, "refine": "none", "decontaminate": False}


def run(upload: bytes | Upload, **given: object) -> Result:
    if isinstance(upload, bytes):
        upload = Upload(upload)
    has_image = upload.background_image is not None
    options = resolve_options(PLAIN | given, PRESETS, has_background_image=has_image)
    return Pipeline(FakeEngine(), Limits(), 64).run(upload, options)


def pixels(result: Result) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(result.body)))


def test_the_alpha_comes_back_on_the_very_same_pixels() -> None:
    image = picture(90, 160)
    rgba = pixels(run(encoded(image)))
    assert np.array_equal(rgba[..., 3], image[..., 0])
    seen = rgba[..., 3] > 0
    assert np.array_equal(rgba[seen][:, :3], image[seen])
    assert not rgba[~seen].any()


@pytest.mark.parametrize("output", ["alpha", "cutout", "trimap"])
@pytest.mark.parametrize("size", [(1, 1), (1, 700), (700, 1), (65, 64), (200, 1500)])
def test_every_size_comes_back_whole(output: str, size: tuple[int, int]) -> None:
    result = run(encoded(picture(*size)), output=output, max_side=128)
    assert result.size == size
    assert pixels(result).shape[:2] == size


def test_large_images_come_back_at_full_resolution() -> None:
    image = picture(900, 1600)
    result = run(encoded(image), max_side=256, output="alpha", refine="guided")
    alpha = pixels(result).astype(int)
    wrong = np.abs(alpha - image[..., 0]) > 32
    assert result.size == (900, 1600)
    assert wrong.mean() < 0.01  # only along the disc's edge


@pytest.mark.parametrize(("size", "expected"), [("network", (72, 128)), ("0.0036mp", (45, 80))])
def test_the_answer_can_be_smaller(size: str, expected: tuple[int, int]) -> None:
    result = run(encoded(picture(90, 160)), size=size, max_side=128)
    assert result.size == expected == pixels(result).shape[:2]


def test_the_foreground_box_is_within_the_answer() -> None:
    result = run(encoded(picture(90, 160)), crop=True, margin="5px")
    assert result.foreground == Box(5, 5, 59, 59)
    assert result.size == (69, 69)
    alpha = pixels(result)[..., 3]
    assert alpha[5:-5, 5:-5].any(axis=0).all()
    assert not alpha[:5].any()


def test_no_subject_is_an_empty_answer() -> None:
    green = np.zeros((40, 60, 3), np.uint8)
    green[..., 1] = 255
    result = run(encoded(green), crop=True, decontaminate=True)
    assert result.foreground.width == 0
    assert result.size == (40, 60)
    assert not pixels(result).any()


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize(("faint", "width"), [(63, 0), (64, 60)])
def test_doubt_alone_is_no_subject(preset: str, faint: int, width: int) -> None:
    noise = np.zeros((40, 60, 3), np.uint8)
    noise[..., 0] = np.random.default_rng(0).integers(0, faint, (40, 60))
    noise[10:20, :, 0] = faint  # all that is left to be a subject
    given = {"preset": preset, "output": "alpha", "refine": "guided", "format": "png"}
    options = resolve_options(given, PRESETS)
    result = Pipeline(FakeEngine(), Limits(), 64).run(Upload(encoded(noise)), options)
    assert result.foreground.width == width
    assert pixels(result).any() == (width > 0)


def test_threshold_then_erode_then_feather() -> None:
    image = np.zeros((60, 60, 3), np.uint8)
    image[20:40, 20:40, 0] = 255
    image[5:10, 5:10, 0] = 20
    alpha = pixels(run(encoded(image), output="alpha", alpha_threshold=30))
    assert not alpha[:15, :15].any()
    eroded = pixels(run(encoded(image), output="alpha", alpha_threshold=30, erode=2))
    assert (eroded > 0).sum() == 16 * 16
    soft = pixels(run(encoded(image), output="alpha", alpha_threshold=30, erode=2, feather=3))
    assert 0 < soft[30, 20] < 128  # outside the shrunk edge, inside the feather


@pytest.mark.parametrize(
    ("given", "mode", "kind"),
    [
        ({}, "RGBA", "PNG"),
        ({"format": "webp"}, "RGBA", "WEBP"),
        ({"format": "jpeg"}, "RGB", "JPEG"),
        ({"output": "alpha"}, "L", "PNG"),
        ({"output": "alpha", "format": "jpeg"}, "L", "JPEG"),
        ({"output": "trimap"}, "L", "PNG"),
        ({"background": "white"}, "RGB", "PNG"),
        ({"background": "blur", "format": "jpeg"}, "RGB", "JPEG"),
        ({"background": "#ff000080"}, "RGBA", "PNG"),
        ({"background": "#ff000080", "format": "jpeg"}, "RGB", "JPEG"),
    ],
)
def test_modes_and_formats(given: dict[str, str], mode: str, kind: str) -> None:
    result = run(encoded(picture()), **given)
    image = Image.open(io.BytesIO(result.body))
    assert (image.mode, image.format) == (mode, kind)
    assert result.media_type == f"image/{kind.lower()}"


def test_zip_holds_colour_and_alpha_of_one_size() -> None:
    result = run(encoded(picture()), format="zip")
    with zipfile.ZipFile(io.BytesIO(result.body)) as archive:
        images = {n: Image.open(io.BytesIO(archive.read(n))) for n in archive.namelist()}
    assert {n: (i.mode, i.size) for n, i in images.items()} == {
        "color.jpg": ("RGB", (160, 90)),
        "alpha.png": ("L", (160, 90)),
    }


def test_a_jpeg_cutout_stands_on_white() -> None:
    corner = pixels(run(encoded(picture()), format="jpeg"))[0, 0]
    assert (corner > 250).all()


def test_a_background_image_covers() -> None:
    behind = np.full((10, 10, 3), (1, 2, 3), np.uint8)
    rgb = pixels(run(Upload(encoded(picture()), background_image=encoded(behind))))
    assert rgb.shape == (90, 160, 3)
    assert rgb[0, 0].tolist() == [1, 2, 3]


def test_a_trimaps_known_pixels_come_back_as_given() -> None:
    trimap = np.full((90, 160), 128, np.uint8)
    trimap[:10], trimap[-10:] = 255, 0
    upload = Upload(encoded(picture()), trimap=encoded(trimap))
    alpha = pixels(run(upload, output="alpha", erode=5, feather=5))
    assert (alpha[:10] == 255).all()
    assert (alpha[-10:] == 0).all()


@pytest.mark.parametrize("side", [480, 640])  # what the network sees of the 640 px
def test_with_a_trimap_hazy_hair_becomes_strands(side: int) -> None:
    """The fake engine's alpha is the red channel: 60 on hair, 170 on the wall, wrong everywhere."""
    truth = strands()
    trimap = trimap_around(truth)
    upload = Upload(encoded(composite_of(truth)), trimap=encoded(trimap))
    band = trimap == 128
    errors = {
        refine: np.abs(
            pixels(run(upload, output="alpha", refine=refine, max_side=side)) - truth.astype(float)
        )[band].mean()
        for refine in ("none", "guided")
    }
    assert errors["guided"] < 0.2 * errors["none"]


def test_a_trimap_of_another_size_is_refused() -> None:
    with pytest.raises(InvalidImage, match="trimap is 4x4 px and the image 160x90"):
        run(Upload(encoded(picture()), trimap=encoded(np.zeros((4, 4), np.uint8))))


def test_the_files_own_alpha_stays() -> None:
    rgba = np.dstack([picture(), np.full((90, 160), 255, np.uint8)])
    rgba[..., 0] = 255  # the network calls all of it foreground
    rgba[:, :80, 3] = 0
    rgba[:, 80:100, 3] = 100
    alpha = pixels(run(encoded(rgba)))[..., 3]
    assert not alpha[:, :80].any()
    assert (alpha[:, 80:100] == 100).all()
    assert (alpha[:, 100:] == 255).all()


def soft_disc_in_red() -> np.ndarray:
    """A cutout, straight alpha, as somebody sends it again: RGBA `[240, 320, 4]`."""
    y, x = np.mgrid[:240, :320]
    alpha = np.clip(128 + 12 * (80 - np.hypot(x - 160, y - 120)), 0, 255).astype(np.uint8)
    return np.dstack([np.full((240, 320, 3), (255, 40, 60), np.uint8), alpha])


def test_a_cutout_sent_again_comes_back_as_it_was() -> None:
    """The network sees it on white, where red is 255 everywhere: all of it is foreground."""
    rgba = soft_disc_in_red()
    out = pixels(run(encoded(rgba), decontaminate=True)).astype(int)
    assert np.array_equal(out[..., 3], rgba[..., 3])
    seen = out[..., 3] > 0
    assert np.array_equal(out[seen], rgba[seen])


@pytest.mark.parametrize("size", ["0.02mp", "network"])
def test_a_cutout_scaled_down_gets_no_white_rim(size: str) -> None:
    out = pixels(run(encoded(soft_disc_in_red()), size=size, max_side=128)).astype(int)
    alpha = out[..., 3:]
    wrong = np.abs(out[..., :3] - (255, 40, 60)) * (alpha / 255)
    assert out.shape[0] < 240
    assert ((alpha > 0) & (alpha < 255)).any()
    assert wrong.max() < 2  # of 8 bits, three times rounded


def on_black(*parts: tuple[tuple[slice, slice], int]) -> bytes:
    """An upload whose red, and so the fake engine's alpha, is that value in each window."""
    image = np.zeros((240, 320, 3), np.uint8)
    for window, level in parts:
        image[window] = level
    return encoded(image)


SUBJECT, SPECK = np.s_[40:200, 40:160], np.s_[100:110, 260:270]


def test_a_faint_speck_is_cleared_and_no_crop_reaches_for_it() -> None:
    upload = on_black((SUBJECT, 255), (SPECK, 60))
    result = run(upload, output="alpha", crop=True)
    assert result.size == (160, 120)
    assert (pixels(result) == 255).all()
    known = np.full((240, 320), 128, np.uint8)
    alpha = pixels(run(Upload(upload, trimap=encoded(known)), output="alpha"))
    assert (alpha[SPECK] == 60).all()  # who gives a trimap has looked


def test_a_stain_within_the_subject_is_made_solid_unless_a_trimap_says_otherwise() -> None:
    stain = np.s_[100:130, 80:110]
    upload = on_black((SUBJECT, 255), (stain, 210))
    assert (pixels(run(upload, output="alpha"))[SUBJECT] == 255).all()
    known = np.full((240, 320), 128, np.uint8)
    alpha = pixels(run(Upload(upload, trimap=encoded(known)), output="alpha"))
    assert (alpha[stain] == 210).all()


def test_a_region_of_nothing_but_doubt_is_empty() -> None:
    upload = on_black((SUBJECT, 255), (SPECK, 50))
    result = run(upload, output="alpha", roi="200 60 300 150")
    assert not pixels(result).any()
    assert result.foreground == Box(0, 0, 0, 0)


def test_a_feathered_edge_is_of_the_subjects_colour() -> None:
    """A subject of one colour before another: eroded and feathered, nothing else may be seen."""
    image = np.full((240, 320, 3), (0, 200, 40), np.uint8)
    image[SUBJECT] = 255, 90, 60
    given = {"decontaminate": True, "erode": 1, "feather": 5}
    out = pixels(run(encoded(image), **given)).astype(int)
    wrong = np.abs(out[..., :3] - (255, 90, 60)) * (out[..., 3:] / 255)
    assert (out[..., 3] == 255).any()
    assert ((out[..., 3] > 0) & (out[..., 3] < 255)).any()
    assert wrong.max() < 6


def test_dpi_is_kept_and_every_stage_timed(make_photo: Callable[..., bytes]) -> None:
    result = run(make_photo(format="JPEG", dpi=(300, 300)))
    assert Image.open(io.BytesIO(result.body)).info["dpi"] == pytest.approx((300, 300), abs=0.1)
    assert set(result.timings) == {"decode", "infer", "post", "encode"}

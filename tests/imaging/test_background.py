import cv2
import numpy as np
import pytest

from serve_app.errors import InvalidOption
from serve_app.imaging.background import (
    TRANSPARENT,
    blurred_background,
    composite,
    cover,
    parse_color,
)

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("text", "color"),
    [
        ("#fff", (255, 255, 255, 255)),
        ("#f008", (255, 0, 0, 136)),
        ("#102030", (16, 32, 48, 255)),
        ("#10203040", (16, 32, 48, 64)),
        (" #ABCDEF ", (171, 205, 239, 255)),
        ("RebeccaPurple", (102, 51, 153, 255)),
        ("transparent", TRANSPARENT),
    ],
)
def test_colours(text: str, color: tuple[int, int, int, int]) -> None:
    assert parse_color(text) == color


@pytest.mark.parametrize(
    "text", ["", "#", "#ff", "#12345", "#ggg", "fff", "rgb(1,2,3)", "hsl(0,0%,0%)", "nocolour"]
)
def test_what_is_no_colour(text: str) -> None:
    with pytest.raises(InvalidOption, match="CSS name"):
        parse_color(text)


def test_every_mix_of_8_bit_values_is_rounded_to_the_nearest() -> None:
    front, alpha = np.meshgrid(np.arange(256), np.arange(256))
    foreground = np.repeat(front[..., None], 3, axis=2).astype(np.uint8)
    for back in (0, 1, 127, 254, 255):
        out = composite(foreground, alpha.astype(np.uint8), (back, back, back, 255))
        exact = (alpha * front + (255 - alpha) * back) / 255
        assert np.array_equal(out[..., 0], np.floor(exact + 0.5))


def test_an_image_behind() -> None:
    size = (300, 280)
    foreground, behind = RNG.integers(0, 256, (2, *size, 3), np.uint8)
    alpha = RNG.choice(np.uint8([0, 0, 255, 100]), size)
    before = behind.copy()
    out = composite(foreground, alpha, behind)
    a = alpha[..., None].astype(int)
    assert np.array_equal(out, (a * foreground + (255 - a) * behind + 127) // 255)
    assert np.array_equal(behind, before)


def test_a_clear_background_keeps_the_alpha() -> None:
    foreground = RNG.integers(0, 256, (5, 6, 3), np.uint8)
    alpha = RNG.integers(0, 256, (5, 6), np.uint8)
    assert np.array_equal(composite(foreground, alpha, TRANSPARENT), np.dstack([foreground, alpha]))


def test_a_translucent_colour_is_porter_and_duff_over() -> None:
    foreground = RNG.integers(0, 256, (200, 220, 3), np.uint8)
    alpha = RNG.choice(np.arange(256, dtype=np.uint8), (200, 220))
    out = composite(foreground, alpha, (10, 200, 90, 128)).astype(float)
    a, b = alpha[..., None] / 255, 128 / 255
    total = a + b * (1 - a)
    colour = (a * foreground + b * (1 - a) * np.array([10, 200, 90])) / total
    assert np.abs(out[..., :3] - colour).max() <= 0.51
    assert np.abs(out[..., 3:] - 255 * total).max() <= 0.51


@pytest.mark.parametrize("shape", [(40, 90), (90, 40), (50, 50), (500, 700), (30, 400)])
def test_cover_is_centred_and_keeps_the_aspect(shape: tuple[int, int]) -> None:
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]].astype(float)
    ramps = [(x + 0.5) * 255 / shape[1], (y + 0.5) * 255 / shape[0], 0 * x]
    image = np.stack(ramps, axis=-1).astype(np.uint8)
    out = cover(image, (60, 80))
    assert out.shape == (60, 80, 3)
    # The ramps meet at the middle, and run as far along both axes as the aspect says.
    middle = out[29:31, 39:41].mean((0, 1))
    assert np.abs(middle[:2] - 127).max() < 12
    factor = max(60 / shape[0], 80 / shape[1])
    across, down = 80 / factor / shape[1], 60 / factor / shape[0]
    assert np.ptp(out[..., 0].mean(0)) == pytest.approx(255 * across, abs=16)
    assert np.ptp(out[..., 1].mean(1)) == pytest.approx(255 * down, abs=16)


def test_blur_shows_no_trace_of_the_subject() -> None:
    image = np.full((300, 400, 3), (30, 80, 160), np.uint8)
    alpha = np.zeros((300, 400), np.uint8)
    cv2.circle(alpha, (200, 150), 90, 255, -1)
    alpha = cv2.GaussianBlur(alpha, (0, 0), 4)
    image[alpha > 0] = 255, 0, 0
    out = blurred_background(image, alpha)
    assert np.abs(out - np.array([30, 80, 160])).max() <= 3


def test_blur_is_strong_and_keeps_the_mood() -> None:
    image = np.zeros((256, 256, 3), np.uint8)
    image[:, 128:] = 240
    image[::2, ::2] += 10
    out = blurred_background(image, np.zeros((256, 256), np.uint8)).astype(float)
    assert np.abs(np.diff(out, axis=1)).max() < 40
    assert out[:, :32].mean() < 40 < 200 < out[:, -32:].mean()


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1)])
def test_blur_of_thin_images_and_of_nothing_but_subject(size: tuple[int, int]) -> None:
    image = np.full((*size, 3), 50, np.uint8)
    alpha = np.full(size, 255, np.uint8)
    assert composite(image, alpha, "blur").tolist() == image.tolist()

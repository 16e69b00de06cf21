"""Region, scale, position, shadow and solidity, each against what can be worked out by hand."""

import numpy as np
import pytest

from serve_app.errors import InvalidOption, InvalidRoi
from serve_app.imaging.placement import Placement, parse_placement, place, target_box
from serve_app.imaging.roi import clear_outside, parse_roi, roi_box, scale_box, with_context
from serve_app.imaging.shadow import cast_shadow, lay_under
from serve_app.imaging.solid import make_solid
from serve_app.types import Box

CANVAS = (100, 200)
SUBJECT = Box(top=10, left=20, height=40, width=20)


@pytest.mark.parametrize(
    ("text", "box"),
    [
        ("0% 0% 100% 100%", Box(0, 0, 100, 200)),
        ("0 0 100 50", Box(0, 0, 50, 100)),
        ("10px 20px 50% 100%", Box(20, 10, 80, 90)),
    ],
)
def test_roi_in_pixels_and_percent(text: str, box: Box) -> None:
    assert roi_box(parse_roi(text), CANVAS) == box


@pytest.mark.parametrize("text", ["", "1 2 3", "a b c d", "1px 2px 3px 4em", "-1 0 5 5"])
def test_a_roi_that_is_none(text: str) -> None:
    with pytest.raises(InvalidOption, match="roi="):
        parse_roi(text)


@pytest.mark.parametrize(
    ("text", "empty"), [("0 0 201 50", False), ("0% 0% 101% 50%", False), ("5 5 5 9", True)]
)
def test_a_roi_that_does_not_fit(text: str, empty: bool) -> None:
    with pytest.raises(InvalidRoi) as caught:
        roi_box(parse_roi(text), CANVAS)
    assert caught.value.empty is empty


def test_a_box_is_carried_to_another_size_and_keeps_a_pixel() -> None:
    assert scale_box(Box(20, 40, 40, 80), CANVAS, (50, 100)) == Box(10, 20, 20, 40)
    assert scale_box(Box(99, 199, 1, 1), CANVAS, (5, 10)) == Box(4, 9, 1, 1)


def test_context_is_half_the_sides_within_the_image() -> None:
    assert with_context(Box(40, 100, 20, 40), CANVAS) == Box(30, 80, 40, 80)
    assert with_context(Box(0, 0, 100, 200), CANVAS) == Box(0, 0, 100, 200)
    assert with_context(Box(90, 190, 10, 10), CANVAS) == Box(85, 185, 15, 15)


def test_alpha_is_kept_within_the_region_alone() -> None:
    alpha = clear_outside(np.full(CANVAS, 200, np.uint8), SUBJECT)
    assert alpha.sum() == 200 * SUBJECT.height * SUBJECT.width
    assert (alpha[10:50, 20:40] == 200).all()


@pytest.mark.parametrize(
    ("scale", "position", "box"),
    [
        ("original", "original", SUBJECT),
        ("original", "center", Box(30, 90, 40, 20)),
        ("original", "0%", Box(0, 0, 40, 20)),
        ("original", "100% 50%", Box(30, 180, 40, 20)),
        ("80%", "center", Box(10, 80, 80, 40)),  # height binds: 40 -> 80
        ("100%", "original", Box(0, 5, 100, 50)),  # about its own centre, moved into the canvas
        ("20%", "original", Box(20, 25, 20, 10)),
    ],
)
def test_where_the_subject_goes(scale: str, position: str, box: Box) -> None:
    assert target_box(SUBJECT, parse_placement(scale, position), CANVAS) == box


@pytest.mark.parametrize(
    ("scale", "position"),
    [
        ("9%", "center"),
        ("101%", "center"),
        ("50", "center"),
        ("original", "left"),
        ("original", "101%"),
        ("original", "1% 2% 3%"),
        ("original", ""),
    ],
)
def test_placements_that_are_none(scale: str, position: str) -> None:
    with pytest.raises(InvalidOption, match="must be"):
        parse_placement(scale, position)


def test_moving_keeps_every_pixel_of_the_subject() -> None:
    rng = np.random.default_rng(0)
    color = rng.integers(0, 256, (*CANVAS, 3), np.uint8)
    alpha = np.zeros(CANVAS, np.uint8)
    alpha[10:50, 20:40] = rng.integers(8, 256, (40, 20), np.uint8)
    target = target_box(SUBJECT, Placement(position=(1.0, 1.0)), CANVAS)
    moved_color, moved = place(color, alpha, SUBJECT, target)
    assert np.array_equal(moved[60:, 180:], alpha[10:50, 20:40])
    assert np.array_equal(moved_color[60:, 180:], color[10:50, 20:40])
    assert moved.sum() == alpha.sum()


def test_scaling_lets_no_old_background_bleed_in() -> None:
    color = np.zeros((*CANVAS, 3), np.uint8)
    color[..., 1] = 255  # green behind
    alpha = np.zeros(CANVAS, np.uint8)
    alpha[10:50, 20:40] = 255
    alpha[15:20, 25:30] = 0  # a hole in it
    color[alpha > 0] = (200, 10, 30)
    for scale in ("20%", "90%"):
        target = target_box(SUBJECT, parse_placement(scale, "center"), CANVAS)
        out, matte = place(color, alpha, SUBJECT, target)
        seen = out[matte > 0].astype(int)
        assert abs(seen - (200, 10, 30)).max() <= 1


def test_a_drop_shadow_lies_to_the_lower_right_and_a_ground_shadow_at_the_feet() -> None:
    alpha = np.zeros((200, 200), np.uint8)
    alpha[60:140, 80:120] = 255
    box = Box(60, 80, 80, 40)
    y, x = np.mgrid[:200, :200]
    drop = cast_shadow(alpha, box, "drop").astype(float)
    assert (drop * y).sum() / drop.sum() > 99.5 + 2
    assert (drop * x).sum() / drop.sum() > 99.5 + 2
    ground = cast_shadow(alpha, box, "ground").astype(float)
    assert abs((ground * y).sum() / ground.sum() - 140) < 3
    assert abs((ground * x).sum() / ground.sum() - 99.5) < 2
    assert not cast_shadow(alpha * 0, Box(0, 0, 0, 0), "drop").any()


def test_a_shadow_under_the_subject_is_porter_and_duffs_over() -> None:
    rng = np.random.default_rng(1)
    color = rng.integers(0, 256, (40, 50, 3), np.uint8)
    alpha, shadow = rng.integers(0, 256, (2, 40, 50), np.uint8)
    out, total = lay_under(color, alpha, shadow, 60)
    a, s = alpha / 255, shadow / 255 * 0.6
    expected = a + s * (1 - a)
    assert abs(total / 255 - expected).max() < 2 / 255
    # Premultiplied colour is what is seen; black adds none.
    assert abs(out / 255 * (total / 255)[..., None] - color / 255 * a[..., None]).max() < 3 / 255
    same, whole = lay_under(color, np.full((40, 50), 255, np.uint8), shadow, 60)
    assert np.array_equal(same, color)
    assert (whole == 255).all()


def test_solid_fills_windows_clears_haze_and_keeps_the_outline_soft() -> None:
    alpha = np.zeros((100, 100), np.uint8)
    alpha[20:80, 20:80] = 255
    alpha[40:60, 40:60] = 90  # a window
    alpha[65:70, 65:70] = 0  # a hole
    alpha[20:80, 19], alpha[20:80, 18] = 128, 60  # an edge
    alpha[:15, :30] = 40  # haze
    out = make_solid(alpha)
    assert (out[40:60, 40:60] == 255).all()
    assert not out[65:70, 65:70].any()
    assert (out[30:60, 19] == 128).all()
    assert (out[30:60, 18] == 60).all()
    assert not out[:15].any()
    assert set(np.unique(make_solid(out))) == set(np.unique(out))


def test_solid_leaves_nothing_of_nothing() -> None:
    assert not make_solid(np.zeros((30, 40), np.uint8)).any()
    assert (make_solid(np.full((30, 40), 255, np.uint8)) == 255).all()

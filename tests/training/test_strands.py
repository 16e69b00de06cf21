import numpy as np
import pytest

from tests.training.conftest import disc
from training.strands import (
    Drawing,
    Roots,
    Style,
    clumped,
    colours_at,
    grow,
    outline,
    outward,
    shaded,
    turned,
)

SIZE = (160, 200)
CENTRE = np.array([100.0, 80.0])  # (x, y)
STRAIGHT = Style(length=20, width=1, spread=0, wander=0, bend=0, clumped=0, flyaway=0, depth=2)


def circle() -> Roots:
    return outline(disc(SIZE, (79.5, 99.5), 40))


def test_an_outline_is_where_the_alpha_is_half_and_points_away() -> None:
    roots = circle()
    away = roots.points - CENTRE
    radius = np.linalg.norm(away, axis=1)
    assert np.abs(radius - 40).max() < 1.5
    assert ((away / radius[:, None]) * roots.normals).sum(1).min() > 0.98


def test_what_the_photo_cut_has_no_roots() -> None:
    roots = outline(disc(SIZE, (159, 100), 40))
    assert len(roots.points) > 50
    assert roots.points[:, 1].max() < 157.5
    assert len(outline(np.full(SIZE, 255, np.uint8)).points) == 0


def test_strands_grow_out_of_the_outline() -> None:
    curves = grow(circle(), 300, STRAIGHT, np.random.default_rng(0))
    radius = np.linalg.norm(curves - CENTRE, axis=2)
    assert radius[:, 0].min() > 36  # they begin inside, by the depth at most
    assert radius[:, 0].max() < 41
    assert (radius[:, -1] > radius[:, 0]).all()
    length = radius[:, -1] - radius[:, 0]
    assert length.min() > 0.25 * 20 * 0.5
    assert length.max() < 1.35 * 20 * 1.5


def test_the_comb_turns_them_but_never_back_into_the_subject() -> None:
    normals = turned(np.tile([[1.0, 0.0]], (50, 1)), np.linspace(0, 6, 50))
    out = outward(normals + np.array([0, 5.0]), normals)
    np.testing.assert_allclose(np.linalg.norm(out, axis=1), 1)
    assert (out * normals).sum(1).min() > 0.1
    assert out[:, 1].mean() > 0.5


def test_clumped_tips_meet() -> None:
    rng = np.random.default_rng(0)
    tips, free = rng.normal(size=(40, 2)) * 10, np.zeros(40, bool)
    free[:4] = True
    style = Style(1, 1, clump=20, clumped=1.0)
    near = clumped(tips, free, style, rng)
    np.testing.assert_array_equal(near[:4], tips[:4])
    assert near[20:].std(0).max() < 0.7 * tips[20:].std(0).max()


def test_a_line_covers_its_width() -> None:
    """Of a strand of 2 px that thins to a third: what it covers is its length by its mean width."""
    drawing = Drawing(SIZE)
    line = np.linspace([30.0, 40.5], [150.0, 40.5], 13)[None]
    drawing.curves(line, np.array([2.0]), np.full((1, 2, 3), 200.0))
    layer = drawing.layer()
    assert layer[..., 3].sum() == pytest.approx(120 * (2 + 1.333 + 0.667) / 3, rel=0.08)
    rows = layer[..., 3].sum(1)
    assert (rows @ (np.arange(SIZE[0]) + 0.5)) / rows.sum() == pytest.approx(40.5, abs=0.2)


def test_a_drawing_is_seen_through_as_its_alpha_says() -> None:
    """C = a F + (1 - a) B, with the same lines drawn on a background of one colour."""
    rng = np.random.default_rng(3)
    background = np.array([40.0, 90.0, 200.0])
    alone, upon = Drawing(SIZE), Drawing(SIZE)
    frame = np.array([[[-1.0, -1], [201, -1], [201, 161], [-1, 161]]])
    upon.shapes(frame, background[None])
    curves = grow(circle(), 200, Style(30, 0.7), rng)
    colours = shaded(rng.uniform(0, 255, (200, 3)), 0.2, rng)
    for drawing in (alone, upon):
        drawing.curves(curves, np.full(200, 0.7), colours)
    layer = alone.layer()
    composite = layer[..., :3] + (1 - layer[..., 3:]) * background / 255
    assert np.abs(composite - upon.layer()[..., :3]).max() < 1.6 / 255


def test_colours_are_those_of_the_nearest_pixel() -> None:
    image = np.arange(27, dtype=np.uint8).reshape(3, 3, 3)
    found = colours_at(image, np.array([[1.9, 0.1], [-5, 9]]))
    np.testing.assert_array_equal(found, [image[0, 1], image[2, 0]])

"""Properties that hold for any size, and small cases worked out by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serve_app.errors import InvalidOption
from serve_app.imaging.geometry import from_network, plan, shrink, to_network
from serve_app.types import BACKGROUND, FOREGROUND, UNKNOWN, Geometry

sides = st.integers(1, 20_000)


@given(size=st.tuples(sides, sides), max_side=st.integers(1, 4096), step=st.integers(1, 64))
def test_a_plan_never_enlarges_and_keeps_the_aspect(
    size: tuple[int, int], max_side: int, step: int
) -> None:
    geometry = plan(size, max_side, step)
    assert geometry.original == size
    assert max(geometry.network) == min(max_side, max(size))
    scale = min(1, max_side / max(size))
    for original, network, padded in zip(size, geometry.network, geometry.padded, strict=True):
        assert 1 <= network <= original
        assert network == 1 or abs(network - original * scale) <= 0.5 + 1e-6
        assert padded % step == 0
        assert network <= padded < network + step


@pytest.mark.parametrize("bad", [(0, 5, 1), (5, 0, 1), (5, 5, 0)])
def test_sizes_below_one(bad: tuple[int, int, int]) -> None:
    with pytest.raises(InvalidOption, match="at least 1"):
        plan((bad[0], 5), bad[1], bad[2])


@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    step=st.integers(1, 32),
    channels=st.sampled_from([1, 3]),
)
@settings(deadline=None)
def test_round_trip_is_exact_without_scaling(
    height: int, width: int, step: int, channels: int
) -> None:
    rng = np.random.default_rng(0)
    geometry = plan((height, width), 4096, step)
    if channels == 1:
        image = rng.choice(np.uint8([BACKGROUND, UNKNOWN, FOREGROUND]), (height, width))
    else:
        image = rng.integers(0, 256, (height, width, 3), np.uint8)
    network = to_network(image, geometry)
    assert network.shape[:2] == geometry.padded
    back = from_network(network, geometry)
    assert np.array_equal(back, image)
    assert back.flags.c_contiguous


def test_an_image_is_padded_with_its_edge() -> None:
    image = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    padded = to_network(image, Geometry((2, 2), (2, 2), (4, 3)))
    assert np.array_equal(padded, np.pad(image, ((0, 2), (0, 1), (0, 0)), mode="edge"))


def test_a_trimap_is_padded_with_unknown() -> None:
    trimap = np.full((2, 2), FOREGROUND, np.uint8)
    padded = to_network(trimap, Geometry((2, 2), (2, 2), (4, 4)))
    assert (padded[:2, :2] == FOREGROUND).all()
    assert (padded[2:] == UNKNOWN).all()
    assert (padded[:, 2:] == UNKNOWN).all()


def test_a_shrunk_trimap_knows_only_what_all_its_pixels_know() -> None:
    trimap = np.zeros((8, 8), np.uint8)
    trimap[:, 4:] = FOREGROUND
    trimap[0, 0] = FOREGROUND  # a thin strand within the background
    trimap[7, 7] = 77  # any other value is unknown
    out = to_network(trimap, Geometry((8, 8), (2, 4), (2, 4)))
    assert out.tolist() == [
        [UNKNOWN, BACKGROUND, FOREGROUND, FOREGROUND],
        [BACKGROUND, BACKGROUND, FOREGROUND, UNKNOWN],
    ]


def overlap(full: int, small: int) -> np.ndarray:
    """What part of each of `small` pixels each of `full` pixels covers: `[small, full]`."""
    edge = np.arange(small + 1) * full / small
    pixel = np.arange(full)
    covered = np.minimum(edge[1:, None], pixel + 1) - np.maximum(edge[:-1, None], pixel)
    return np.clip(covered, 0, None) * small / full


@pytest.mark.parametrize("size", [(60, 80), (37, 51), (119, 159), (1, 1)])
def test_shrinking_is_the_mean_of_what_a_pixel_covers(size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)
    rows, columns = overlap(120, size[0]), overlap(160, size[1])
    expected = np.einsum("ij,jkc,lk->ilc", rows, image, columns)
    assert np.abs(shrink(image, size) - expected).max() <= 0.51


def test_shrinking_to_the_same_size_costs_nothing() -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    assert shrink(image, (4, 4)) is image

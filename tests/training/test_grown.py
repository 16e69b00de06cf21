from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.conftest import disc
from training.data import Collection
from training.grown import GROWN, KINDS, choose, frame, grow, grow_cutout
from training.layers import base, layered, over, straight
from training.settings import Grown, Settings, Source

SIZE = (300, 240)


def cutout(radius: float = 80) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    alpha = (disc(SIZE, (150, 120), radius) > 127).astype(np.uint8) * 255
    return rng.integers(20, 235, (*SIZE, 3), np.uint8), alpha


@pytest.mark.parametrize("kind", [kind for kind, _ in KINDS], ids=lambda kind: kind.__name__)
def test_each_kind_makes_a_layer_that_is_soft(kind: object) -> None:
    for seed in range(3):
        layer = kind(*cutout(), np.random.default_rng(seed))
        alpha = layer[..., 3]
        assert layer.shape == (*SIZE, 4)
        assert np.isfinite(layer).all()
        assert layer.min() > -1e-5
        assert alpha.max() < 1 + 1e-5
        assert (layer[..., :3] <= alpha[..., None] + 1e-3).all(), "premultiplied"
        assert ((alpha > 0.05) & (alpha < 0.95)).mean() > 0.001, "something is soft"
        again = kind(*cutout(), np.random.default_rng(seed))
        np.testing.assert_array_equal(layer, again)


def test_over_is_what_is_seen_of_both() -> None:
    red = layered(np.full((1, 1, 3), (255, 0, 0), np.uint8), np.full((1, 1), 0.25, np.float32))
    blue = layered(np.full((1, 1, 3), (0, 0, 255), np.uint8), np.full((1, 1), 0.5, np.float32))
    np.testing.assert_allclose(over(red, blue)[0, 0], [0.25, 0, 0.375, 0.625])


def test_straight_colour_composites_as_the_layer_does() -> None:
    """A F + (1 - a) B from the bytes, against the layer over the background."""
    image, alpha = cutout()
    layer = KINDS[0][0](image, alpha, np.random.default_rng(1))
    colour, matte = straight(layer)
    background = np.float32(0.4)
    a = matte[..., None] / np.float32(255)
    from_bytes = a * (colour / np.float32(255)) + (1 - a) * background
    from_layer = layer[..., :3] + (1 - layer[..., 3:]) * background
    assert np.abs(from_bytes - from_layer).max() < 1.2 / 255


def test_the_base_draws_a_hard_edge_in() -> None:
    _, alpha = cutout()
    matte = base(*cutout())[..., 3]
    assert matte[alpha == 0].max() < 0.1
    assert matte[150, 120] == pytest.approx(1)


def test_the_colour_is_the_subjects_wherever_there_is_alpha() -> None:
    image, alpha = cutout()
    image[:] = (10, 200, 90)
    colour, matte = grow_cutout(image, alpha, 5)  # some kinds tint; this one grows
    assert matte.max() == 255
    near = colour[matte > 0].astype(int)
    assert near[:, 1].mean() > near[:, 0].mean() + 40


def test_the_seed_decides() -> None:
    one, two, other = (grow_cutout(*cutout(), seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one[0], two[0])
    np.testing.assert_array_equal(one[1], two[1])
    assert one[1].shape != other[1].shape or (one[1] != other[1]).any()


def test_a_subject_has_a_margin_where_it_was_not_cut() -> None:
    image, _ = cutout()
    alpha = disc(SIZE, (299, 120), 60)  # cut by the lower edge
    _, framed = frame(image, alpha, 200)
    assert (framed[-1] > 127).any()
    assert not framed[:20].any()
    assert not framed[:, :20].any()


def test_there_is_nothing_to_grow_on_without_an_outline() -> None:
    image, alpha = cutout()
    assert grow_cutout(image, np.zeros_like(alpha), 0) is None
    assert grow_cutout(image, np.full_like(alpha, 255), 0) is None


def hard(settings: Settings, **grown: float) -> Settings:
    sources = {"discs": Source(weight=1, cutout=1)}
    return settings.model_copy(update={"sources": sources, "grown": Grown(**grown)})


def test_only_hard_masks_are_grown_on(collection: Collection, settings: Settings) -> None:
    assert choose(collection.cutouts, settings.model_copy(update={"grown": Grown(count=9)})) == []
    assert len(choose(collection.cutouts, hard(settings, count=9))) == 9


def test_what_was_grown_is_found_again(
    collection: Collection, settings: Settings, tmp_path: Path
) -> None:
    told = hard(settings, count=5)
    first, second = (
        grow(collection.cutouts, told, torch.device("cpu"), tmp_path / GROWN) for _ in range(2)
    )
    assert len(first) == 5
    assert len(list((tmp_path / GROWN).glob("*.png"))) == 5
    for one, two in zip(first, second, strict=True):
        assert one.source == GROWN
        assert one.soft
        assert torch.equal(one.levels[0], two.levels[0])

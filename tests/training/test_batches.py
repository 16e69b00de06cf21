from dataclasses import replace

import pytest
import torch

from training import augment
from training.batches import Batches
from training.chance import odds
from training.data import Collection
from training.grown import GROWN
from training.settings import Grown, Settings


def batches(collection: Collection, settings: Settings, **change: object) -> Batches:
    rng = torch.Generator().manual_seed(2)
    return Batches(collection, settings.model_copy(update=change), rng)


def test_a_batch_holds_what_the_network_takes(collection: Collection, settings: Settings) -> None:
    batch = batches(collection, settings, composites=0.5).draw((64, 96), 6)
    assert batch.rgb.shape == (6, 64, 96, 3)
    assert batch.trimap.shape == (6, 64, 96)
    assert batch.rgb.dtype == batch.trimap.dtype == torch.uint8
    assert batch.alpha.shape == batch.trusted.shape == (6, 1, 64, 96)
    assert 0 <= float(batch.alpha.min()) <= float(batch.alpha.max()) <= 1


def test_the_seed_decides(collection: Collection, settings: Settings) -> None:
    one, two = (batches(collection, settings).draw((64, 64), 4) for _ in range(2))
    assert torch.equal(one.rgb, two.rgb)
    assert torch.equal(one.alpha, two.alpha)


def test_a_mosaic_shows_four_photos(collection: Collection, settings: Settings) -> None:
    draws = batches(collection, settings, composites=0, mosaics=1, trimaps=0)
    alpha = draws.draw((256, 320), 6).alpha
    quarters = torch.stack([half for rows in alpha.chunk(2, 2) for half in rows.chunk(2, 3)])
    assert bool((quarters.amax((2, 3, 4)) > 0.9).all()), "each has a subject"
    whole = draws.draw((192, 320), 6).alpha  # too small to be divided
    assert float(whole.mean()) > 0


def test_composites_without_subjects_are_empty(collection: Collection, settings: Settings) -> None:
    batch = batches(collection, settings, composites=1, empty=1, pairs=0).draw((64, 64), 4)
    assert float(batch.alpha.max()) == 0
    assert float(batch.rgb.float().std()) > 5


def test_composites_show_their_subject(collection: Collection, settings: Settings) -> None:
    """The discs are brighter than any background here can be made: the alpha is where they are."""
    batch = batches(collection, settings, composites=1, empty=0, pairs=0).draw((64, 64), 16)
    assert all(float(alpha.max()) > 0.9 for alpha in batch.alpha)
    assert all(float(alpha.min()) < 0.1 for alpha in batch.alpha)
    assert bool((batch.detailed == 1).all())


def test_trimaps_say_what_is_true(collection: Collection, settings: Settings) -> None:
    batch = batches(collection, settings, trimaps=1, composites=0.5).draw((64, 64), 32)
    trimap, alpha = batch.trimap, batch.alpha[:, 0]
    assert set(trimap.unique().tolist()) == {0, 128, 255}
    assert float(alpha[trimap == 255].min()) > 0.97
    assert float(alpha[trimap == 0].max()) < 0.03
    assert bool((batch.trusted[:, 0][trimap != 128] == 2).all())


def test_the_band_is_what_a_good_trimap_leaves_open(
    collection: Collection, settings: Settings
) -> None:
    batch = batches(collection, settings, trimaps=1, composites=0.5, empty=0).draw((64, 64), 32)
    band, unknown = batch.band[:, 0] == 1, batch.trimap == 128
    assert not bool((band & ~unknown).any())
    whole = band.flatten(1).any(1)
    assert bool(whole.any()), "good ones"
    assert not bool(whole.all()), "a few strokes leave no band"
    assert bool((band == unknown)[whole].all())
    alpha = batch.alpha[:, 0][whole]
    soft = (alpha > 0.03) & (alpha < 0.97)
    assert bool(band[whole][soft].all()), "all that is soft is in it"


def test_composites_are_what_their_layers_say(collection: Collection, settings: Settings) -> None:
    """C = a F + (1 - a) B to the bit, two subjects, one over the other."""
    draws = batches(collection, settings, composites=1, empty=0, pairs=1)
    seen = []
    subjects = draws._subjects

    def spy(*arguments: object) -> tuple[torch.Tensor, torch.Tensor]:
        seen.append(subjects(*arguments))
        return seen[-1]

    draws._subjects = spy
    plain = torch.full((4, 3, 64, 64), 0.25)
    draws._backgrounds = lambda size, count: plain
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(augment, "sometimes", lambda share, step, image, rng: image)
        patch.setattr(augment, "shadow", lambda background, alpha, share, rng: background)
        image, alpha, _ = draws._composites((64, 64), 4).split((3, 1, 1), 1)
    (first, a), (second, b) = seen
    expected = second * b + (first * a + plain * (1 - a)) * (1 - b)
    torch.testing.assert_close(image, expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(alpha, b + a * (1 - b), rtol=0, atol=1e-6)


def test_what_was_grown_is_pasted_too(collection: Collection, settings: Settings) -> None:
    photo = replace(collection.cutouts[0], source=GROWN)
    grown = replace(collection, cutouts=(photo,))
    change = {"grown": Grown(count=1, cutout=1), "composites": 1, "empty": 0}
    assert float(batches(grown, settings, **change).draw((64, 64), 4).alpha.max()) > 0.9


def test_no_trimaps_unless_asked_for(collection: Collection, settings: Settings) -> None:
    batch = batches(collection, settings, trimaps=0).draw((64, 64), 8)
    assert bool((batch.trimap == 128).all())


def test_odds_follow_shares_and_shun_what_is_small(collection: Collection) -> None:
    even = odds(collection.photos, (64, 96), {"discs": 8.0}, 1.6)
    assert even == [2.0] * 4
    assert max(odds(collection.photos, (320, 384), {"discs": 8.0}, 1.6)) < 1e-4
    tall = odds(collection.photos, (96, 32), {"discs": 8.0}, 1.6)
    assert 0 < max(tall) < 1

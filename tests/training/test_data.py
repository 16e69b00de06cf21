import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from serve_app.errors import SettingsError
from tests.training.conftest import SIZE, disc, write_pair
from training import solve
from training.data import Collection, carry_on, load_collection, read_pairs, subject_box, trust
from training.settings import Settings, Source

CPU = torch.device("cpu")
MASKS = Source(weight=1, cutout=1, band=2, solve=4)


def masks(settings: Settings) -> Settings:
    """The same discs, taken for binary masks and solved."""
    return settings.model_copy(update={"sources": {"discs": MASKS}})


def test_photos_are_kept_as_pyramids(collection: Collection) -> None:
    assert [len(part) for part in (collection.photos, collection.cutouts)] == [4, 4]
    photo = collection.photos[0]
    assert photo.size == SIZE
    assert [level.shape[1:] for level in photo.levels] == [(80, 96), (40, 48), (20, 24)]
    whole, half = (level[3].float().mean() for level in photo.levels[:2])
    assert float(half) == pytest.approx(float(whole), abs=0.5)


def test_bad_pairs_are_named_and_left_out(
    data: Path, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    folder = data / "train" / "discs"
    grey = np.zeros((8, 8), np.uint8)
    write_pair(folder, "sizes", np.zeros((8, 9, 3), np.uint8), grey)
    write_pair(folder, "coloured", np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8, 3), np.uint8))
    write_pair(folder, "broken", np.zeros((8, 8, 3), np.uint8), grey)
    (folder / "images" / "broken.png").write_bytes(b"not a picture")
    write_pair(folder, "unreadable", np.zeros((8, 8, 3), np.uint8), grey)
    (folder / "alphas" / "unreadable.png").write_bytes(b"not a picture either")
    write_pair(folder, "palette", np.zeros((8, 8, 3), np.uint8), grey)
    Image.fromarray(grey).convert("P").save(folder / "alphas" / "palette.png")
    write_pair(folder, "deep", np.zeros((8, 8, 3), np.uint8), grey)
    Image.fromarray(grey.astype(np.uint16)).save(folder / "alphas" / "deep.png")
    write_pair(folder, "cut", np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64), np.uint8))
    half = (folder / "alphas" / "cut.png").read_bytes()[:60]
    (folder / "alphas" / "cut.png").write_bytes(half)
    (folder / "images" / "folder.png").mkdir()
    Image.fromarray(grey).save(folder / "alphas" / "folder.png")
    Image.fromarray(grey).save(folder / "alphas" / "0.webp")
    Image.fromarray(grey).save(folder / "images" / "alone.png")
    Image.fromarray(grey).save(folder / "alphas" / "lonely.png")
    with caplog.at_level(logging.WARNING):
        collection = load_collection(data / "train", settings, CPU, data / "solved")
    assert sorted(photo.name for photo in collection.photos) == ["0", "1", "2", "3"]
    bad = ("sizes", "coloured", "broken", "unreadable", "palette", "deep", "cut", "folder.png")
    for name in (*bad, "alone", "lonely", "0.webp"):
        assert sum(f"{name}" in message.split(":")[0] for message in caplog.messages) == 1, name


def test_a_source_without_pairs_is_refused(data: Path, settings: Settings) -> None:
    wrong = settings.model_copy(update={"sources": {"cats": Source(weight=1)}})
    with pytest.raises(SettingsError, match="'cats' has no usable pair"):
        load_collection(data / "train", wrong, CPU, data / "solved")


def test_a_photo_is_turned_upright(tmp_path: Path) -> None:
    image = Image.fromarray(np.zeros((6, 10, 3), np.uint8))
    image.paste((255, 255, 255), (0, 0, 10, 2))
    write_pair(tmp_path, "turned", np.zeros((2, 2, 3), np.uint8), np.zeros((10, 6), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6  # shown a quarter turn clockwise
    image.save(tmp_path / "images" / "turned.png", exif=exif)
    ((_, pixels, _),) = read_pairs(tmp_path)
    assert pixels.shape == (10, 6, 3)
    assert pixels[:, 4:].min() == 255


def test_the_edge_of_a_mask_is_trusted_little() -> None:
    mask = np.zeros((20, 20), np.uint8)
    mask[:, 10:] = 255
    trusted = trust(mask, Source(weight=1, band=2))
    assert trusted[5].tolist() == [255] * 8 + [64] * 4 + [255] * 8
    assert trust(mask, Source(weight=1, band=2, soft=True)).min() == 255


def test_unknown_is_trusted_not_at_all() -> None:
    mask = np.array([[0, 128, 255]], np.uint8)
    assert trust(mask, Source(weight=1, three_valued=True)).tolist() == [[255, 0, 255]]
    assert trust(mask, Source(weight=1)).tolist() == [[255, 255, 255]]


def test_a_subject_keeps_its_colour_beyond_its_edge() -> None:
    alpha = disc((60, 60), (30, 30), 15)
    image = np.full((60, 60, 3), 255, np.uint8)
    image[alpha > 0] = (200, 30, 10)
    carried = carry_on(image, alpha)
    np.testing.assert_array_equal(carried[alpha > 0], image[alpha > 0])
    beside = (disc((60, 60), (30, 30), 20) > 250) & (alpha == 0)
    assert np.abs(carried[beside].astype(int) - (200, 30, 10)).max() <= 4


def test_the_box_holds_the_subject() -> None:
    alpha = np.zeros((9, 12), np.uint8)
    assert subject_box(alpha) == (0, 0, 9, 12)
    alpha[2:4, 5:11] = 200
    assert subject_box(alpha) == (2, 5, 4, 11)


def test_a_solved_source_is_soft_and_trusted_nearly(data: Path, settings: Settings) -> None:
    collection = load_collection(data / "train", masks(settings), CPU, data / "solved")
    for photo in (*collection.photos, *collection.cutouts):
        alpha, trusted = photo.levels[0][3], photo.levels[0][4]
        assert photo.soft
        assert set(trusted.unique().tolist()) == {160, 255}
        assert bool(((alpha == 0) | (alpha == 255))[trusted == 255].all())
        assert int(((alpha > 20) & (alpha < 235)).sum()) > 40


def test_what_cannot_be_solved_stays_a_mask(data: Path, settings: Settings) -> None:
    nothing = np.zeros(SIZE, np.uint8)
    write_pair(data / "train" / "discs", "empty", np.zeros((*SIZE, 3), np.uint8), nothing)
    collection = load_collection(data / "train", masks(settings), CPU, data / "solved")
    (photo,) = [photo for photo in collection.photos if photo.name == "empty"]
    assert not photo.soft
    assert float(photo.levels[0][3].max()) == 0


def test_a_run_resumed_solves_nothing_again(
    data: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load_collection(data / "train", masks(settings), CPU, data / "solved")
    assert len(list((data / "solved" / "discs").glob("*.png"))) == 4
    monkeypatch.setattr(solve, "solve_alpha", None)  # not to be called
    again = load_collection(data / "train", masks(settings), CPU, data / "solved")
    for one, two in zip(first.photos, again.photos, strict=True):
        assert torch.equal(one.levels[0], two.levels[0])

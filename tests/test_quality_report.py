"""The quality report's tables and pictures, from scores that are known."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.quality import tables
from benchmarks.quality.methods import cut_out_centre
from benchmarks.quality.ours import DEFAULT
from benchmarks.quality.photos import Photo, find_photos
from benchmarks.quality.scoring import Banded, Results, Scored, summary
from benchmarks.quality.sheet import checkered, picked
from serve_app.evaluation import Scores


def scored(method: str, source: str, name: str, iou: float) -> Scored:
    return Scored(method, source, name, Scores(iou, 1, 0.1, 1 - iou, 2, 3), 10.0)


@pytest.fixture
def results() -> Results:
    rows = [
        scored(method, source, name, iou)
        for method, ious in ((DEFAULT, (0.9, 0.7, 0.5)), ("prisma", (0.95, 0.6, 0.4)))
        for (source, name), iou in zip(
            (("ccp", "a"), ("pets128", "b"), ("pets128", "c")), ious, strict=True
        )
    ]
    notes = {DEFAULT: ("the default", 4.4), "prisma": ("a peer", None)}
    return Results(rows, [Banded(DEFAULT, "a", 0.02), Banded(DEFAULT, "b", 0.04)], notes)


def test_means_are_over_images(results: Results) -> None:
    found = summary(results)
    default = found["methods"][DEFAULT]
    assert default["all"]["iou"] == pytest.approx(0.7)
    assert default["groups"]["animals"]["iou"] == pytest.approx(0.6)
    assert default["sources"]["ccp"]["iou"] == pytest.approx(0.9)
    assert found["images"] == {"ccp": 1, "pets128": 2}
    assert found["unknown_band_mad"] == {DEFAULT: pytest.approx(0.03)}


def test_tables_say_who_is_ahead_and_go_between_markers(results: Results, tmp_path: Path) -> None:
    machine = {"cpu": "2 x CPU", "date": "2026-01-01"}
    report = {"machine": machine, "checkpoint": "0123456789abcdef", **summary(results)}
    text = tables.card(report, "sheet.png", ["pets128: somebody"])
    assert "| pets128 | animals | cats and dogs, 128 px | 2 | 0.600 |" in text
    assert "- prisma: ahead in IoU on people by 0.050" in text
    path = tmp_path / "card.md"
    path.write_text("before\n<!-- quality -->\nold\n<!-- /quality -->\nafter\n")
    for _ in range(2):
        tables.write_between(path, "quality", text)
    written = path.read_text()
    assert written == f"before\n<!-- quality -->\n{text}\n<!-- /quality -->\nafter\n"
    with pytest.raises(ValueError, match="needs a line"):
        tables.write_between(path, "elsewhere", text)
    assert "| prisma | 0.950 | 0.500 | 0.650 | 0.350 | 10 |" in tables.brief(report)


def test_best_median_and_worst_are_picked(results: Results) -> None:
    photos = [Photo(s, n, Path(), Path(), None) for s, n in (("pets128", "b"), ("pets128", "c"))]
    assert [p.name for p in picked(photos, results.scored, "pets128")] == ["b", "c"]


def test_photos_of_a_source_are_spread(tmp_path: Path) -> None:
    for kind in ("images", "alphas"):
        (tmp_path / "cats" / kind).mkdir(parents=True)
        for i in range(9):
            Image.new("L", (2, 2)).save(tmp_path / "cats" / kind / f"{i}.png")
    assert [p.name for p in find_photos(tmp_path, 3)] == ["0", "3", "6"]
    assert len(list(find_photos(tmp_path))) == 9


def test_grabcut_finds_a_disc_in_the_centre() -> None:
    y, x = np.mgrid[:120, :160]
    disc = np.hypot(y - 60, x - 80) < 40
    image = np.where(disc[..., None], (220, 30, 30), (30, 60, 200)).astype(np.uint8)
    assert ((cut_out_centre(image) > 127) == disc).mean() > 0.97
    assert not cut_out_centre(np.full((40, 40, 3), 9, np.uint8)).any()


def test_a_checkerboard_shows_through() -> None:
    image = np.full((40, 40, 3), 10, np.uint8)
    alpha = np.zeros((40, 40), np.uint8)
    alpha[:, 20:] = 255
    shown = checkered(image, alpha)
    assert (shown[:, 20:] == 10).all()
    assert len(np.unique(shown[:, :20].reshape(-1, 3), axis=0)) == 2

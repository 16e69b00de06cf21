"""Runs every method on every photo and takes the means."""

import logging
import statistics
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from benchmarks.quality.methods import Method, closed_form, grabcut, peers
from benchmarks.quality.ours import DEFAULT, Variant, alphas, gmac, timed, variants
from benchmarks.quality.photos import OTHER, SOURCES, Photo
from serve_app.errors import InputError
from serve_app.evaluation import Scores, mean_scores, score
from serve_app.imaging.decode import decode
from serve_app.imaging.matte import trimap_of
from serve_app.settings import ROOT, Limits, ModelSettings
from serve_app.types import UNKNOWN, Array, Upload

log = logging.getLogger(__name__)

CLOSED_FORM = "closed form"
_CHUNK = 8  # photos a process takes at once


@dataclass(frozen=True)
class Scored:
    """What one method made of one photo."""

    method: str
    source: str
    name: str
    scores: Scores
    ms: float


@dataclass(frozen=True)
class Banded:
    """What one method made of the unknown band of a given trimap."""

    method: str
    name: str
    mad: float


@dataclass(frozen=True)
class Results:
    """All that was measured."""

    scored: list[Scored]
    banded: list[Banded]
    notes: dict[str, tuple[str, float | None]]  # method: what it is, its GMAC


class Judge:
    """Holds every method, in a process of its own."""

    def __init__(self, settings: ModelSettings, peer_folder: Path) -> None:
        cv2.setNumThreads(1)
        self.variants: list[Variant] = variants(settings)
        self.methods: list[Method] = [*peers(peer_folder, ROOT / "configs" / "models"), grabcut()]

    def judge(self, photo: Photo) -> tuple[list[Scored], list[Banded]]:
        truth, counts = photo.truth()
        upload = Upload(photo.image.read_bytes())
        image = decode(upload.image, Limits()).image
        if image.shape[:2] != truth.shape:
            raise InputError(f"image {image.shape[:2]} and alpha {truth.shape} differ in size")
        found = []

        def add(method: str, alpha: Array, ms: float) -> None:
            scores = score(alpha, truth, counts)
            found.append(Scored(method, photo.source, photo.name, scores, ms))

        for variant, alpha, ms in alphas(self.variants, upload):
            add(variant.name, alpha, ms)
            if variant.name == DEFAULT:
                add(CLOSED_FORM, *timed(lambda: closed_form(image, trimap_of(alpha))))  # noqa: B023
        for method in self.methods:
            add(method.name, *timed(lambda: method.matte(image)))  # noqa: B023
        return found, self._band(photo, image, truth)

    def _band(self, photo: Photo, image: Array, truth: Array) -> list[Banded]:
        """With the photo's own trimap given: how far off the band is that it leaves open."""
        if photo.trimap is None:
            return []
        trimap = cv2.imread(str(photo.trimap), cv2.IMREAD_GRAYSCALE)
        if trimap is None or trimap.shape != truth.shape:
            raise InputError(f"trimap '{photo.trimap}' cannot be read or is of another size")
        trimap = np.where(trimap == 0, 0, np.where(trimap == 255, 255, UNKNOWN)).astype(np.uint8)
        upload = Upload(photo.image.read_bytes(), trimap=cv2.imencode(".png", trimap)[1].tobytes())
        band = trimap == UNKNOWN
        answers = {variant.name: alpha for variant, alpha, _ in alphas(self.variants[:1], upload)}
        answers[CLOSED_FORM] = closed_form(image, trimap)
        answers["0.5 everywhere"] = np.full(truth.shape, 128, np.uint8)
        return [
            Banded(name, photo.name, score(alpha, truth, band).mad)
            for name, alpha in answers.items()
        ]


def run(photos: list[Photo], settings: ModelSettings, peer_folder: Path, jobs: int) -> Results:
    """Score everything on `jobs` processes. A photo that cannot be scored is named and left out."""
    judge = Judge(settings, peer_folder)
    ours = gmac(settings)
    notes: dict[str, tuple[str, float | None]] = {
        v.name: (v.note, ours if v.options.max_side == 1024 else None) for v in judge.variants
    }
    notes |= {method.name: (method.note, method.gmac) for method in judge.methods}
    notes[CLOSED_FORM] = ("PyMatting, the trimap made of our own alpha, at 256 px", None)
    scored: list[Scored] = []
    banded: list[Banded] = []
    with tqdm(total=len(photos), unit="photo", disable=None) as progress:
        for scores, bands in _answers(judge, photos, settings, peer_folder, jobs):
            scored += scores
            banded += bands
            progress.update()
    return Results(scored, banded, notes)


def _answers(
    judge: Judge, photos: list[Photo], settings: ModelSettings, peer_folder: Path, jobs: int
) -> Iterator[tuple[list[Scored], list[Banded]]]:
    if jobs == 1:
        yield from _judge_all(judge, photos)
        return
    chunks = [photos[i : i + _CHUNK] for i in range(0, len(photos), _CHUNK)]
    with ProcessPoolExecutor(jobs, get_context("spawn"), _start, (settings, peer_folder)) as pool:
        for answers in pool.map(_judge_here, chunks):
            yield from answers


_judge: list[Judge] = []  # of a worker process; its initializer fills it once


def _start(settings: ModelSettings, peer_folder: Path) -> None:
    _judge.append(Judge(settings, peer_folder))


def _judge_here(photos: list[Photo]) -> list[tuple[list[Scored], list[Banded]]]:
    return list(_judge_all(_judge[0], photos))


def _judge_all(judge: Judge, photos: list[Photo]) -> Iterator[tuple[list[Scored], list[Banded]]]:
    for photo in photos:
        try:
            yield judge.judge(photo)
        except InputError as exc:
            log.warning("skipped %s/%s: %s", photo.source, photo.name, exc.detail)
            yield [], []


def summary(results: Results) -> dict[str, Any]:
    """Means by method over each source, each group and all; the band's by method."""
    methods = {}
    for name, (note, gmac_) in results.notes.items():
        rows = [row for row in results.scored if row.method == name]
        methods[name] = {
            "note": note,
            "gmac": gmac_ and round(gmac_, 2),
            "ms": round(statistics.median(row.ms for row in rows), 1),
            "sources": _means(rows, {row.source: row.source for row in rows}),
            "groups": _means(rows, {s: SOURCES.get(s, OTHER).group for s in _sources(rows)}),
            "all": asdict(mean_scores([row.scores for row in rows])),
        }
    default = [row for row in results.scored if row.method == DEFAULT]
    bands = {row.method for row in results.banded}
    return {
        "images": {s: sum(row.source == s for row in default) for s in sorted(_sources(default))},
        "methods": methods,
        "unknown_band_mad": {
            name: float(np.mean([row.mad for row in results.banded if row.method == name]))
            for name in sorted(bands)
        },
    }


def _sources(rows: Iterable[Scored]) -> set[str]:
    return {row.source for row in rows}


def _means(rows: list[Scored], label: dict[str, str]) -> dict[str, dict[str, float]]:
    return {
        name: asdict(mean_scores([row.scores for row in rows if label[row.source] == name]))
        for name in sorted(set(label.values()))
    }

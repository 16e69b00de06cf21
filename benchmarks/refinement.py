"""Ways to full resolution compared: python -m benchmarks.refinement --data DATA

Each photo with a photographed alpha (`DATA/val/alphamatting`) is the full size; its true alpha,
shrunk by 2 and by 4, is what a network would give. Times are of one core and the whole photo
enlarged to 4 MP, the network seeing 1024 px; ours has the network's picture at hand, as in the
service. Then what decontamination brings on composites whose foreground is known, and what closed
form makes of the photo's own trimap, without a network, and how long that takes.
"""

import argparse
import json
import statistics
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from benchmarks.results import machine
from benchmarks.upsampling import METHODS, ours
from serve_app.evaluation import Scores, match_pairs, mean_scores, read_alpha, score
from serve_app.imaging.closed_form import solve_alpha
from serve_app.imaging.decode import decode
from serve_app.imaging.foreground import estimate_foreground
from serve_app.imaging.geometry import shrink
from serve_app.imaging.refine import upsample_alpha
from serve_app.settings import ROOT, Limits
from serve_app.types import BACKGROUND, FOREGROUND, UNKNOWN, Array, Size

FACTORS = (2, 4)
FULL_PIXELS = 4_000_000
NETWORK_SIDE = 1024  # px
BACKGROUNDS = ((20, 220, 40), (250, 250, 250), (10, 10, 60))  # a studio's green, white, night
SUBJECT = (150, 90, 60)
RESULT = ROOT / "benchmarks" / "results" / "refinement.json"


@dataclass(frozen=True)
class Photo:
    """A photo and its true alpha."""

    name: str
    image: Array
    alpha: Array


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--limit", type=int, default=0, help="photos; 0 is all")
    parser.add_argument("--rounds", type=int, default=5, help="of which the quickest counts")
    parser.add_argument("--json", type=Path, default=RESULT)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    photos = list(read_photos(arguments.data / "val" / "alphamatting", arguments.limit))
    scores = {name: compare(name, photos) for name in METHODS}
    times = measure(photos, arguments.rounds)
    report = {
        "machine": machine(),
        "photos": len(photos),
        "methods": {
            name: {**{f"x{f}": asdict(s) for f, s in scores[name].items()}, "ms": times[name]}
            for name in METHODS
        },
        "decontamination": decontamination(photos),
        "trimap": from_trimaps(arguments.data / "val" / "alphamatting" / "trimaps", photos),
    }
    print(table(report))
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(report, indent=1) + "\n", "utf-8")


def read_photos(folder: Path, limit: int) -> Iterator[Photo]:
    pairs = match_pairs(folder / "images", folder / "alphas")
    for pair in pairs[: limit or None]:
        image = decode(pair.image.read_bytes(), Limits()).image
        yield Photo(pair.name, image, read_alpha(pair.alpha))


def compare(name: str, photos: list[Photo]) -> dict[int, Scores]:
    """Mean scores of one method by how many times smaller the network's alpha is."""
    means = {}
    for factor in FACTORS:
        scores = []
        for photo in photos:
            small = shrink(photo.alpha, _divided(photo.alpha.shape, factor))
            scores.append(score(METHODS[name](small, photo.image), photo.alpha))
        means[factor] = mean_scores(scores)
    return means


def measure(photos: list[Photo], rounds: int) -> dict[str, dict[str, float]]:
    """CPU time at 4 MP, ms: the median photo and the slowest. Slow methods run once each."""
    taken: dict[str, list[float]] = {name: [] for name in METHODS}
    for photo in photos:
        scale = (FULL_PIXELS / photo.alpha.size) ** 0.5
        image = np.asarray(
            cv2.resize(photo.image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        )
        side = NETWORK_SIDE / max(photo.alpha.shape)
        method = cv2.INTER_AREA if side < 1 else cv2.INTER_LINEAR
        alpha = np.asarray(cv2.resize(photo.alpha, None, fx=side, fy=side, interpolation=method))
        for name in METHODS:
            taken[name].append(quickest(name, alpha, image, rounds))
    return {
        name: {"median": round(statistics.median(ms), 1), "slowest": round(max(ms), 1)}
        for name, ms in taken.items()
    }


def quickest(name: str, alpha: Array, image: Array, rounds: int) -> float:
    small = shrink(image, alpha.shape)
    times = []
    for _ in range(rounds if name in ("bicubic", "bilinear", "ours") else 1):
        start = time.process_time()
        if METHODS[name] is ours:
            upsample_alpha(alpha, image, image.shape[:2], "guided", small)
        else:
            METHODS[name](alpha, image)
        times.append(1000 * (time.process_time() - start))
    return min(times)


def decontamination(photos: list[Photo]) -> dict[str, float]:
    """Mean colour error on soft pixels, weighted with alpha, 8-bit levels: without and with.

    Composites of a smooth textured foreground on three textured backgrounds, under true alphas.
    """
    before, after = [], []
    for photo in photos:
        front = texture(photo.alpha.shape, SUBJECT, 0)
        for color in BACKGROUNDS:
            image = mixed(front, texture(photo.alpha.shape, color, 1), photo.alpha)
            before.append(colour_error(image, front, photo.alpha))
            after.append(colour_error(estimate_foreground(image, photo.alpha), front, photo.alpha))
    return {"without": float(np.mean(before)), "with": float(np.mean(after))}


def from_trimaps(folder: Path, photos: list[Photo]) -> dict[str, float]:
    """MAD in the unknown band, solved from a half everywhere in it; CPU time per megapixel, ms."""
    errors, times = [], []
    for photo in photos:
        trimap = decode((folder / f"{photo.name}.png").read_bytes(), Limits()).image[..., 0]
        guess = np.full(trimap.shape, UNKNOWN, np.uint8)
        start = time.process_time()
        alpha = solve_alpha(photo.image, trimap, guess)
        times.append(1e9 * (time.process_time() - start) / trimap.size)
        band = (trimap != BACKGROUND) & (trimap != FOREGROUND)
        errors.append(np.abs(alpha - photo.alpha / 255)[band].mean())
    return {"mad": float(np.mean(errors)), "ms_per_mp": round(statistics.median(times), 1)}


def texture(size: Size, color: tuple[int, int, int], seed: int) -> np.ndarray:
    """Blotches around a colour, float `[H, W, 3]`, 0-255."""
    coarse = np.random.default_rng(seed).normal(0, 12, (size[0] // 8 + 1, size[1] // 8 + 1, 3))
    return np.clip(cv2.resize(coarse, size[::-1]) + color, 0, 255)


def mixed(front: np.ndarray, back: np.ndarray, alpha: Array) -> Array:
    weight = alpha[..., None] / 255
    return np.rint(weight * front + (1 - weight) * back).astype(np.uint8)


def colour_error(found: Array, front: np.ndarray, alpha: Array) -> float:
    soft = (alpha > 0) & (alpha < 255)
    return float((np.abs(found - front).mean(-1) * alpha / 255)[soft].mean())


def table(report: dict) -> str:
    """The report as a markdown table."""
    lines = [
        "| method | Grad x2 | Grad x4 | SAD x2 | SAD x4 | ms at 4 MP, median | slowest |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, row in report["methods"].items():
        cells = [f"{row[f'x{f}'][m]:.2f}" for m in ("grad", "sad") for f in FACTORS]
        cells += [f"{row['ms']['median']:.0f}", f"{row['ms']['slowest']:.0f}"]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    error = report["decontamination"]
    lines.append("")
    lines.append(
        f"Colour error on soft pixels of known composites: {error['without']:.1f} levels without "
        f"decontamination, {error['with']:.1f} with it."
    )
    solved = report["trimap"]
    lines.append(
        f"Closed form from given trimaps: MAD {solved['mad']:.3f} in the unknown band, "
        f"{solved['ms_per_mp']:.0f} ms per megapixel."
    )
    return "\n".join(lines)


def _divided(size: Size, factor: int) -> Size:
    return round(size[0] / factor), round(size[1] / factor)


if __name__ == "__main__":
    main()

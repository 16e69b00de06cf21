"""What becomes of a trimap's unknown band: python -m benchmarks.band --data DATA

Validation photos whose alpha says what is soft: `alphamatting` with its own trimaps, the others
with a band around all that is soft, a fiftieth of the photo's longer side to either side. Printed
is the mean absolute difference within the band of the network's alpha, of closed form's and of what
the service makes of both, all at the size that the network sees; and CPU time of the last two.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from serve_app.engines import Engine, open_engine
from serve_app.evaluation import match_pairs, read_alpha
from serve_app.imaging.background import WHITE, composite
from serve_app.imaging.band import solve_band
from serve_app.imaging.closed_form import solve_alpha
from serve_app.imaging.decode import decode
from serve_app.imaging.geometry import from_network, plan, shrink, to_network
from serve_app.settings import ROOT, Limits, ModelSettings, Settings
from serve_app.types import UNKNOWN, Array

SOURCES = {"alphamatting": 1, "jizhizi_demo": 1, "davis": 2, "trellis": 1}  # every how manieth
_SIDE = 1024  # px, as the presets have it
_REACH = 1 / 50  # of the longer side


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.band", description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    engine = open_engine(ModelSettings(device="cpu", threads=1))
    print(
        "| photos | network | closed form | both, weighed | CPU s per megapixel, closed form "
        "| both |"
    )
    print("| --- | --- | --- | --- | --- | --- |")
    for source, step in SOURCES.items():
        found = np.array([judge(engine, *case) for case in cases(arguments.data, source, step)])
        mads = " | ".join(f"{mad:.4f}" for mad in found[:, :3].mean(0))
        of_closed_form, of_both = found[:, 3:5].sum(0) / found[:, 5].sum()
        print(f"| {source}, {len(found)} | {mads} | {of_closed_form:.2f} | {of_both:.2f} |")


def cases(data: Path, source: str, step: int) -> Iterator[tuple[Array, Array, Array]]:
    """Photos, their true alphas and their trimaps, none larger than the network's view."""
    folder = data / "val" / source
    for pair in match_pairs(folder / "images", folder / "alphas")[::step]:
        image, truth = decode(pair.image.read_bytes(), Limits()).image, read_alpha(pair.alpha)
        size = plan(truth.shape, _SIDE, 1).network
        image, truth = shrink(image, size), shrink(truth, size)
        own = folder / "trimaps" / f"{pair.name}.png"
        trimap = read_alpha(own) if own.exists() else around(truth)
        yield composite(image, truth, WHITE) if source == "trellis" else image, truth, trimap


def around(truth: Array) -> Array:
    """A trimap that leaves open all that is soft or changes, and what is near."""
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    changes = cv2.morphologyEx((truth > 127).view(np.uint8), cv2.MORPH_GRADIENT, cross) > 0
    sure = ~(changes | ((truth > 5) & (truth < 250)))
    away = cv2.distanceTransform(sure.view(np.uint8), cv2.DIST_L2, 5)
    known = np.where(truth > 127, np.uint8(255), np.uint8(0))
    return np.where(away > _REACH * max(truth.shape), known, np.uint8(UNKNOWN))


def judge(engine: Engine, image: Array, truth: Array, trimap: Array) -> list[float]:
    """Three errors, two times in seconds, and megapixels."""
    geometry = plan(truth.shape, _SIDE, Settings().batching.bucket_step)
    seen = to_network(image, geometry)[None], to_network(trimap, geometry)[None]
    alpha, trimap = (from_network(a, geometry) for a in (engine.predict(*seen)[0], seen[1][0]))
    started = time.process_time()
    solved = 255 * solve_alpha(image, trimap, alpha)
    between = time.process_time()
    weighed = solve_band(alpha, image, trimap)
    times = [between - started, time.process_time() - between]
    band = trimap == UNKNOWN
    errors = [np.abs(a - truth.astype(float))[band].mean() / 255 for a in (alpha, solved, weighed)]
    return [*errors, *times, truth.size / 1e6]


if __name__ == "__main__":
    main()

"""The engines side by side: python -m benchmarks.engines [--device cuda] [--compile]

Every installed engine and precision that runs on the device opens the checkpoint in a process of
its own, so that its memory and its load time are its own, and then all run the same batches by
turns, so that what else the machine does falls on all alike. Agreement is with torch in fp32 on the
CPU.
"""

import argparse
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import plots
from benchmarks.child import Child
from benchmarks.photos import PHOTO, SMALL, scaled
from benchmarks.results import RESULTS, Run, Table, plot_path
from serve_app.engines import open_engine
from serve_app.engines.agreement import made_pictures
from serve_app.engines.availability import is_installed
from serve_app.engines.graph import quantised_path
from serve_app.errors import EngineError
from serve_app.imaging.decode import decode
from serve_app.settings import Limits, ModelSettings, resolve_path
from serve_app.types import UNKNOWN, Array

_AGREEMENT_SIZES = ((256, 256), (384, 512))


@dataclass(frozen=True)
class Candidate:
    """An engine in a precision."""

    engine: str
    precision: str
    compile: bool = False

    @property
    def name(self) -> str:
        return f"{self.engine}{' compiled' if self.compile else ''} {self.precision}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, default=ModelSettings().model_path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--engines", nargs="+", help="these alone")
    parser.add_argument("--threads", type=int, default=0, help="0 is one per core")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4, 8])
    parser.add_argument("--size", type=int, nargs=2, default=SMALL, metavar=("W", "H"))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument(
        "--compile", action="store_true", help="torch compiled too, up to a minute for each shape"
    )
    parser.add_argument("--json", type=Path, default=RESULTS / "engines.json")
    arguments = parser.parse_args()
    run = Run("engines")
    children = opened(arguments)
    try:
        rows = measure(children, arguments)
    finally:
        for child in children.values():
            child.close()
    largest = arguments.batches[-1]
    speed = {str(row[0]): float(row[-3]) for row in rows}
    plots.bars(plot_path(arguments.json), f"Batches of {largest}", "images/s", speed)
    columns = ("engine", "load s", *(f"batch {n}: ms" for n in arguments.batches))
    sizes = f"{arguments.size[0]}x{arguments.size[1]}"
    table = Table(
        f"{sizes}, median of {arguments.rounds} rounds; differences from torch fp32 in levels of "
        "255",
        (*columns, "images/s", "peak MB", "mean difference (within 2)"),
        rows,
    )
    run.finish([table], arguments.json)


def candidates(arguments: argparse.Namespace) -> list[Candidate]:
    """Torch fp32 first; then every engine and precision that is installed and can run there."""
    if arguments.device.startswith("cuda"):
        rows = [("torch", "fp32"), ("torch", "fp16"), ("onnx", "fp32"), ("onnx", "fp16")]
        rows += [("tensorrt", "fp32"), ("tensorrt", "fp16")]
        compiled = [Candidate("torch", "fp16", True)] if arguments.compile else []
    else:
        rows = [("torch", "fp32"), ("onnx", "fp32"), ("openvino", "fp32")]
        if quantised_path(resolve_path(arguments.model)).is_file():
            rows += [("onnx", "int8"), ("openvino", "int8")]
        compiled = [Candidate("torch", "fp32", True)] if arguments.compile else []
    found = [Candidate(*row) for row in rows if is_installed(row[0])] + compiled
    return [one for one in found if one.engine in (arguments.engines or [one.engine])]


def opened(arguments: argparse.Namespace) -> dict[str, Child]:
    """Every candidate that opens, by name; of one that does not it is said why.

    Raises:
        EngineError: none does.
    """
    children, left_out = {}, None
    for candidate in candidates(arguments):
        try:
            children[candidate.name] = Child(Opened, candidate, arguments)
        except EngineError as exc:
            print(f"... {candidate.name} is left out: {exc}", flush=True)
            left_out = exc
    if not children and left_out:
        raise left_out
    return children


class Opened:
    """An engine in its own process."""

    def __init__(self, candidate: Candidate, arguments: argparse.Namespace) -> None:
        start = time.perf_counter()
        self._engine = open_engine(
            ModelSettings.model_validate(
                {
                    "engine": candidate.engine,
                    "precision": candidate.precision,
                    "compile": candidate.compile,
                    "model_path": arguments.model,
                    "device": arguments.device,
                    "threads": arguments.threads,
                }
            )
        )
        self._size = arguments.size[1], arguments.size[0]
        self.run(1)
        self._load_s = time.perf_counter() - start

    def load_seconds(self) -> float:
        """From nothing imported to the first answer."""
        return self._load_s

    def run(self, images: int) -> float:
        """Seconds for a batch."""
        rgb = np.random.default_rng(0).integers(0, 256, (images, *self._size, 3), np.uint8)
        trimap = np.full((images, *self._size), UNKNOWN, np.uint8)
        start = time.perf_counter()
        self._engine.predict(rgb, trimap)
        return time.perf_counter() - start

    def alphas(self) -> list[Array]:
        return [self._engine.predict(rgb, trimap) for rgb, trimap in pictures()]


def measure(
    children: dict[str, Child], arguments: argparse.Namespace
) -> list[list[str | float | None]]:
    """A row of the table for each engine."""
    times: dict[tuple[str, int], list[float]] = {}
    for images in arguments.batches:
        for round in range(arguments.rounds + 1):
            for name, child in children.items():
                seconds = child.call("run", images)
                if round:  # the first run of a shape compiles
                    times.setdefault((name, images), []).append(seconds)
    expected = reference(arguments.model)
    rows: list[list[str | float | None]] = []
    largest = arguments.batches[-1]
    for name, child in children.items():
        medians = {n: statistics.median(times[name, n]) for n in arguments.batches}
        memory, gpu_memory = child.peaks()
        rows.append(
            [
                name,
                child.call("load_seconds"),
                *(1000 * medians[n] for n in arguments.batches),
                largest / medians[largest],
                round_mb(gpu_memory or memory),
                agreement(child.call("alphas"), expected),
            ]
        )
    return rows


def reference(model: Path) -> list[Array]:
    """What torch in fp32 on the CPU answers."""
    values = {"engine": "torch", "precision": "fp32", "device": "cpu", "model_path": model}
    engine = open_engine(ModelSettings.model_validate(values))
    return [engine.predict(rgb, trimap) for rgb, trimap in pictures()]


def pictures() -> list[tuple[Array, Array]]:
    """Batches of one: made pictures, and a photo."""
    photo = decode(scaled(PHOTO, (512, 512)), Limits()).image
    trimap = np.full(photo.shape[:2], UNKNOWN, np.uint8)
    return [*made_pictures(_AGREEMENT_SIZES), (photo[None], trimap[None])]


def agreement(given: list[Array], expected: list[Array]) -> str:
    apart = [np.abs(a.astype(np.int16) - b).ravel() for a, b in zip(given, expected, strict=True)]
    levels = np.concatenate(apart)
    return f"{levels.mean():.3f} ({(levels <= 2).mean():.3%})"


def round_mb(size: int) -> int:
    return round(size / 1e6)


if __name__ == "__main__":
    main()

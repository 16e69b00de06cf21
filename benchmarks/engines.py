"""The engines side by side: python -m benchmarks.engines [--int8 FILE]

Every installed engine runs the same batches in one process, by turns, so that what else the machine
does falls on all alike; what counts is the ratio to torch. CPU time is given where `--cpu-time` is
set: it is steadier on a shared machine, and for one thread the same thing.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from serve_app.engines import open_engine
from serve_app.engines.availability import is_installed
from serve_app.engines.base import Engine
from serve_app.settings import ModelSettings

BATCHES = ((1, 576, 1024), (1, 1024, 704), (4, 448, 576))  # images, height, width


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=ModelSettings().model_path)
    parser.add_argument("--int8", type=Path, help="what `cvunet export --precision int8` wrote")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--cpu-time", action="store_true")
    arguments = parser.parse_args()
    engines = list(open_all(arguments))
    clock = time.process_time if arguments.cpu_time else time.perf_counter
    for batch in BATCHES:
        times = measure(engines, batch, arguments.rounds, clock)
        base = statistics.median(times[0])
        print(f"{batch[0]} x {batch[1]}x{batch[2]}")
        for engine, taken in zip(engines, times, strict=True):
            median = statistics.median(taken)
            name = f"{engine.info.engine} {engine.info.precision}"
            print(f"  {name:16} {median * 1000:7.1f} ms   {base / median:5.2f} x torch")


def open_all(arguments: argparse.Namespace) -> list[Engine]:
    """Torch first, then every other engine that is installed, then int8 where there is a file."""
    on_gpu = arguments.device.startswith("cuda")
    names = ("torch", "onnx", "tensorrt") if on_gpu else ("torch", "onnx", "openvino")
    rows = [(name, arguments.model) for name in names if is_installed(name)]
    if arguments.int8:
        rows += [(name, arguments.int8.resolve()) for name in names[1:] if is_installed(name)]
    return [
        open_engine(
            ModelSettings.model_validate(
                {
                    "engine": name,
                    "model_path": path,
                    "device": arguments.device,
                    "threads": arguments.threads,
                }
            )
        )
        for name, path in rows
    ]


def measure(
    engines: list[Engine], batch: tuple[int, int, int], rounds: int, clock: Callable[[], float]
) -> list[list[float]]:
    """Seconds of each run, by engine; the first run of each is not counted."""
    rgb = np.random.default_rng(0).integers(0, 256, (*batch, 3), np.uint8)
    trimap = np.full(batch, 128, np.uint8)
    times: list[list[float]] = [[] for _ in engines]
    for _ in range(rounds + 1):
        for engine, taken in zip(engines, times, strict=True):
            start = clock()
            engine.predict(rgb, trimap)
            taken.append(clock() - start)
    return [taken[1:] for taken in times]


if __name__ == "__main__":
    main()

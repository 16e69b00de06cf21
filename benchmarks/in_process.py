"""The pipeline without any server: how fast the work itself is on this machine."""

import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2

from serve_app.engines import Engine, open_engine
from serve_app.options import Options, load_presets, resolve_options
from serve_app.pipeline import Pipeline
from serve_app.settings import Settings, resolve_path
from serve_app.types import Array, Upload


@dataclass(frozen=True)
class InProcess:
    """What a run found."""

    per_second: float
    p50_ms: float


class OneAtATime:
    """An engine for several threads: it takes one call at a time."""

    def __init__(self, engine: Engine) -> None:
        self.info = engine.info
        self.batches = engine.batches
        self._engine = engine
        self._lock = threading.Lock()

    def predict(self, rgb: Array, trimap: Array) -> Array:
        with self._lock:
            return self._engine.predict(rgb, trimap)


def run_in_process(
    settings: Settings, photo: bytes, fields: dict[str, str], workers: int, seconds: float
) -> InProcess:
    """Matte copies of one photo in so many threads; best in a process of its own."""
    if workers > 1:
        cv2.setNumThreads(1)  # as in the replicas: the threads are the parallelism
    engine = OneAtATime(open_engine(settings.model))
    pipeline = Pipeline(engine, settings.limits, settings.batching.bucket_step)
    options = options_for(fields, settings)
    for _ in range(2):
        pipeline.run(Upload(photo), options)
    start = time.perf_counter()

    def work(_: int) -> list[float]:
        taken = []
        while (began := time.perf_counter()) - start < seconds:
            pipeline.run(Upload(photo), options)
            taken.append(time.perf_counter() - began)
        return taken

    with ThreadPoolExecutor(workers) as pool:
        taken = [one for part in pool.map(work, range(workers)) for one in part]
    elapsed = time.perf_counter() - start
    return InProcess(len(taken) / elapsed, 1000 * statistics.median(taken))


def options_for(fields: dict[str, str], settings: Settings) -> Options:
    """What the service makes of a form, with PNG where it would look at the Accept header."""
    presets = load_presets(resolve_path(settings.presets_path))
    return resolve_options({"format": "png", **fields}, presets)

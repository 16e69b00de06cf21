"""The rungs of the ladder: ways of working that differ from the one before in one thing each."""

import io
import statistics
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
from PIL import Image

from benchmarks.photos import PHOTO, scaled
from benchmarks.results import cores
from serve_app.batching import BatchItem, predict_all
from serve_app.engines import Engine, open_engine
from serve_app.engines.availability import is_installed
from serve_app.engines.graph import quantised_path
from serve_app.imaging.foreground import estimate_foreground
from serve_app.mattes import mattes
from serve_app.options import Options, load_presets, resolve_options
from serve_app.postprocess import finish
from serve_app.preprocess import prepare
from serve_app.settings import Limits, ModelSettings, Settings, resolve_path
from serve_app.types import Prediction, Prepared, Upload

_LIMIT = 1024  # px, the longest side that the network sees, as in the original and by default
_AT_MOST = 3  # of the seconds asked for: where one image takes that long, it is enough
_HEAVY = Options(erode=1, feather=5, refine="guided", decontaminate=True)


@dataclass(frozen=True)
class Rung:
    """One way of working."""

    name: str
    network: str = "cvunet"  # or unet32
    device: str = "cpu"
    engine: str = "torch"
    precision: str = "fp32"
    keeps_weights: bool = False  # else they are loaded for every batch
    limit: int | None = None  # px; None: the network sees every pixel
    batch: int = 1
    is_light: bool = False  # the preset bulk and the service's PNG writer
    side_by_side: bool = False  # images overlap: one is decoded while another is encoded

    def options(self, answer: str) -> Options:
        """`answer` is the size of what comes back, where there is a limit: original, network."""
        options = _HEAVY
        if self.is_light:
            options = resolve_options({}, load_presets(resolve_path(Settings().presets_path)))
        if self.limit is None:
            # More than the API takes: the point is that nothing is scaled down.
            return options.model_copy(update={"max_side": 1 << 20, "format": "png"})
        return options.model_copy(update={"max_side": self.limit, "size": answer, "format": "png"})


def ladder(network: str, device: str, model_path: Path) -> list[Rung]:
    """The rungs on a device; each is the one before with one thing changed."""
    gpu = device != "cpu"
    first = Rung("weights loaded for every image, every pixel, one at a time", network, device)
    rungs = [first, replace(first, name="+ weights kept", keeps_weights=True)]

    def change(name: str, **values: object) -> None:
        rungs.append(replace(rungs[-1], name=name, **values))  # type: ignore[arg-type]

    if gpu:
        change("+ FP16", precision="fp16")
    change(f"+ resolution limit {_LIMIT}", limit=_LIMIT)
    change("+ batches of 4", batch=4)
    change("+ light post-processing", is_light=True)
    compiled = compiled_engine(network, device)
    change(f"+ compiled engine ({compiled})", engine=compiled)
    if network != "cvunet":
        compiled = compiled_engine("cvunet", device)
        change("+ this project's network in its place", network="cvunet", engine=compiled)
    if not gpu and quantised_path(resolve_path(model_path)).is_file():
        change("+ int8", precision="int8")
    change("+ images side by side", side_by_side=True)
    return rungs


def compiled_engine(network: str, device: str) -> str:
    """The best compiler that is installed: TensorRT, else torch's on a GPU; OpenVINO on a CPU."""
    if device == "cpu":
        return "openvino"
    return "tensorrt" if network == "cvunet" and is_installed("tensorrt") else "compile"


def seconds_per_image(
    rung: Rung, photos: list[bytes], model_path: Path, answer: str, seconds: float, least: int
) -> list[float]:
    """Work on copies of each photo for some seconds, and for `least` images if that is longer, but
    begin none once `_AT_MOST` times as long has passed.
    """
    way = _Way(rung, model_path, rung.options(answer))
    way.warm_up(photos[0])
    return [_seconds_per_image(way, photo, seconds, least) for photo in photos]


def _seconds_per_image(way: "_Way", photo: bytes, seconds: float, least: int) -> float:
    rung = way.rung
    if rung.side_by_side:
        return _side_by_side(way.matte, photo, rung.batch, seconds)
    taken: list[float] = []
    while not _is_enough(sum(taken), len(taken) * rung.batch, seconds, least):
        start = time.perf_counter()
        way.matte([photo] * rung.batch)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken) / rung.batch


def _is_enough(taken: float, images: int, seconds: float, least: int) -> bool:
    return taken >= _AT_MOST * seconds or (taken >= seconds and images >= least)


class _Way:
    """Takes photos to files the way a rung says."""

    def __init__(self, rung: Rung, model_path: Path, options: Options) -> None:
        self.rung = rung
        self._model_path = model_path
        self._options = options
        self._kept = self._open() if rung.keeps_weights else None
        self._lock = threading.Lock()  # an engine takes one call at a time
        if rung.side_by_side:
            cv2.setNumThreads(1)

    def warm_up(self, photo: bytes) -> None:
        """First runs load libraries, allocate and compile; an engine that compiles does it for the
        size that the network sees, which is one where there is a limit.
        """
        small = scaled(PHOTO, (512, 288))
        self.matte([photo if self.rung.limit else small] * self.rung.batch)

    def matte(self, photos: list[bytes]) -> list[bytes]:
        engine = self._kept or self._open()
        limits = Limits()
        prepared = [prepare(Upload(photo), self._options, limits, 64) for photo in photos]
        with self._lock:
            answers = predict_all(engine, [BatchItem(p.rgb, p.trimap) for p in prepared])
        return [self._finish(p, a) for p, a in zip(prepared, answers, strict=True)]

    def _finish(self, prepared: Prepared, answer: Prediction | Exception) -> bytes:
        if isinstance(answer, Exception):
            raise answer
        if self.rung.is_light:
            return finish(prepared, answer, self._options).body
        return finish_heavily(prepared, answer, self._options)

    def _open(self) -> Engine:
        rung = self.rung
        if rung.network == "unet32":
            from benchmarks.networks import PlainEngine

            return PlainEngine(rung.engine, rung.device, rung.precision)
        return open_engine(
            ModelSettings.model_validate(
                {
                    "model_path": self._model_path,
                    "engine": "torch" if rung.engine == "compile" else rung.engine,
                    "compile": rung.engine == "compile",
                    "device": rung.device,
                    "precision": rung.precision,
                }
            )
        )


def finish_heavily(prepared: Prepared, prediction: Prediction, options: Options) -> bytes:
    """All post-processing there is, and the PNG that Pillow writes when nobody says how."""
    alpha = mattes(prepared, prediction.alpha, options).shaped
    color = estimate_foreground(prepared.source.image, alpha)
    body = io.BytesIO()
    Image.merge("RGBA", [*Image.fromarray(color).split(), Image.fromarray(alpha)]).save(body, "PNG")
    return body.getvalue()


def _side_by_side(
    matte: Callable[[list[bytes]], list[bytes]], photo: bytes, batch: int, seconds: float
) -> float:
    """Seconds per image with as many batches at work as there are cores, plus one."""
    start = time.perf_counter()

    def work(_: int) -> int:
        done = len(matte([photo] * batch))
        while time.perf_counter() - start < seconds:
            done += len(matte([photo] * batch))
        return done

    workers = cores() + 1
    with ThreadPoolExecutor(workers) as pool:
        images = sum(pool.map(work, range(workers)))
    return (time.perf_counter() - start) / images

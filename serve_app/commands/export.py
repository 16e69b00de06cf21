"""`cvunet export OUT`: the network as one ONNX file, checked against torch before it is kept."""

import argparse
import random
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from serve_app.engines import open_engine
from serve_app.engines.agreement import Agreement, compare, made_pictures
from serve_app.engines.base import Engine
from serve_app.engines.graph import Graph, load_graph, write_graph
from serve_app.engines.quantize import quantise
from serve_app.errors import EngineError, InputError
from serve_app.imaging.decode import decode
from serve_app.imaging.geometry import plan, to_network
from serve_app.settings import ModelSettings, Settings, resolve_path
from serve_app.types import UNKNOWN, Array

_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
_TRUTH = {"alphas", "trimaps"}  # folders beside the photos that hold no photos
_SIZES = ((256, 256), (384, 512), (576, 1024), (1088, 1920))
_CALIBRATED, _CHECKED = 100, 40  # photos
_SIDE = 1024  # px; the default of max_side

Batches = list[tuple[Array, Array]]


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "export",
        help="write the network as an ONNX file",
        description="Write the network as one ONNX file for all sizes, compare it with torch, "
        "and keep it if they agree.",
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="file to write, .onnx")
    parser.add_argument("--engine", choices=("openvino", "onnx", "tensorrt"), default="onnx")
    parser.add_argument("--precision", choices=("fp32", "fp16", "int8"), default="fp32")
    parser.add_argument(
        "--calibrate", type=Path, metavar="DIR", help="folder of photos, for --precision int8"
    )
    parser.add_argument("--model", type=Path, metavar="FILE", help="checkpoint to export")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Export and check; where the engine disagrees there is no file."""
    out: Path = arguments.out
    model = Settings().model
    checkpoint = (arguments.model or resolve_path(model.model_path)).resolve()
    _check(arguments)
    int8 = arguments.precision == "int8"
    made_from = "fp32" if int8 else arguments.precision
    graph = load_graph(checkpoint, made_from, resolve_path(model.cache_path))
    reference = open_engine(_settings(checkpoint, "torch", "fp32", "cpu"))
    candidate = out.with_name(f"{out.stem}.part.onnx")
    try:
        if int8:
            agreement = _quantise(graph, arguments, candidate, reference)
        else:
            agreement = _try(graph, arguments.engine, candidate, reference, made_pictures(_SIZES))
        if not agreement.holds(arguments.precision):
            raise EngineError(
                f"engine: {arguments.engine}, precision: {arguments.precision} does not agree with "
                f"torch fp32 and is not kept: {agreement}"
            )
        candidate.replace(out)
    finally:
        candidate.unlink(missing_ok=True)
    print(f"{out}: {arguments.engine} {arguments.precision} against torch fp32: {agreement}")
    return 0


def _check(arguments: argparse.Namespace) -> None:
    if arguments.out.suffix != ".onnx":
        raise InputError(f"OUT '{arguments.out}' must end in .onnx: every engine reads that file")
    if (arguments.precision == "int8") != (arguments.calibrate is not None):
        raise InputError("--precision int8 and --calibrate DIR go together")
    arguments.out.parent.mkdir(parents=True, exist_ok=True)


def _settings(path: Path, engine: str, precision: str, device: str = "auto") -> ModelSettings:
    values = {"model_path": path, "engine": engine, "precision": precision, "device": device}
    return ModelSettings.model_validate(values)


def _try(
    graph: Graph, engine: str, candidate: Path, reference: Engine, batches: Batches
) -> Agreement:
    """Write the graph, open it as the service would, and compare."""
    write_graph(graph, candidate)
    return compare(open_engine(_settings(candidate, engine, "auto")), reference, batches)


def _quantise(
    graph: Graph, arguments: argparse.Namespace, candidate: Path, reference: Engine
) -> Agreement:
    """Take the boldest quantisation that agrees, on photos that it was not calibrated on."""
    photos = read_photos(arguments.calibrate, _CALIBRATED + _CHECKED)
    held_out = max(1, len(photos) // 4)
    images = [{"rgb": rgb, "trimap": trimap} for rgb, trimap in photos[held_out:]]
    for step, quantised in quantise(graph, images):
        agreement = _try(quantised, arguments.engine, candidate, reference, photos[:held_out])
        print(f"int8, {step}: {agreement}")
        if agreement.holds("int8"):
            break
    return agreement


def read_photos(folder: Path, count: int) -> Batches:
    """Some photos of a folder and those below, the same ones each time, as the network sees them.

    Raises:
        InputError: there are fewer than two, or one cannot be read.
    """
    paths = [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in _SUFFIXES and path.parent.name not in _TRUTH
    ]
    if len(paths) < 2:
        raise InputError(f"--calibrate '{folder}' holds {len(paths)} photos: it takes two or more")
    chosen = random.Random(0).sample(paths, min(count, len(paths)))  # noqa: S311
    return [_read(path) for path in tqdm(chosen, unit="photo", disable=None)]


def _read(path: Path) -> tuple[Array, Array]:
    settings = Settings()
    try:
        image = decode(path.read_bytes(), settings.limits).image
    except InputError as exc:
        raise InputError(f"--calibrate: '{path}': {exc.detail}, or leave it out") from exc
    geometry = plan((image.shape[0], image.shape[1]), _SIDE, settings.batching.bucket_step)
    rgb = to_network(image, geometry)
    return rgb[None], np.full((1, *geometry.padded), UNKNOWN, np.uint8)

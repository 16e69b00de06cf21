"""Our own network in several ways: presets, with and without refinement, fp32 and int8."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch.utils.flop_counter import FlopCounterMode

from serve_app.batching import BatchItem, predict_all
from serve_app.engines import Engine, open_engine
from serve_app.errors import MattingError
from serve_app.mattes import mattes
from serve_app.models.checkpoint import load_checkpoint
from serve_app.options import DEFAULT_PRESET, Options, load_presets, resolve_options
from serve_app.preprocess import prepare
from serve_app.settings import Limits, ModelSettings, Settings, resolve_path
from serve_app.types import Array, Prepared, Upload

T = TypeVar("T")

DEFAULT = f"ours, {DEFAULT_PRESET}"
_SMALL = 256  # px: most of the photos are small, so refinement shows where the network sees less
_STEP = Settings().batching.bucket_step
_GMAC_SIZE = (576, 1024)


@dataclass(frozen=True)
class Variant:
    """One way to run the network."""

    name: str
    note: str
    engine: Engine
    options: Options


def variants(settings: ModelSettings) -> list[Variant]:
    """The default, each preset, with and without refinement, and the other precision."""
    presets = load_presets(resolve_path(Settings().presets_path))
    engine = open_engine(settings)

    def variant(name: str, note: str, runs: Engine = engine, **given: object) -> Variant:
        return Variant(name, note, runs, resolve_options(given, presets))

    label = f"{engine.info.engine} {engine.info.precision}"
    found = [variant(DEFAULT, f"the default, {label}")]
    found += [
        variant(f"ours, {name}", "preset", preset=name)
        for name in presets
        if name != DEFAULT_PRESET
    ]
    found.append(variant("ours, refine none", "the default without refinement", refine="none"))
    for refine in ("guided", "none"):
        name = f"ours, {_SMALL} px, refine {refine}"
        found.append(variant(name, f"seen at {_SMALL} px", max_side=_SMALL, refine=refine))
    precision = "fp32" if engine.info.precision == "int8" else "int8"
    try:
        other = open_engine(settings.model_copy(update={"precision": precision}))
    except MattingError:
        return found  # no such file was exported
    note = f"the default, {other.info.engine} {precision}"
    return [*found, variant(f"ours, {precision}", note, other)]


def alphas(variants: list[Variant], upload: Upload) -> Iterator[tuple[Variant, Array, float]]:
    """Yield each variant's alpha of one photo, uint8 `[H, W]`, and its CPU time, ms.

    What several variants share, of decoding, scaling and the network, is done once and counted
    for each; decoding is not counted.
    """
    shared: dict[tuple[int, int], tuple[Prepared, Array, float]] = {}
    for variant in variants:
        key = variant.options.max_side, id(variant.engine)
        if key not in shared:
            shared[key] = _predict(variant, upload)
        prepared, alpha, before = shared[key]
        found, after = timed(lambda: mattes(prepared, alpha, variant.options).shaped)  # noqa: B023
        yield variant, found, before + after


def _predict(variant: Variant, upload: Upload) -> tuple[Prepared, Array, float]:
    prepared = prepare(upload, variant.options, Limits(), _STEP)
    item = BatchItem(prepared.rgb, prepared.trimap)
    (answer,), taken = timed(lambda: predict_all(variant.engine, [item]))
    if isinstance(answer, Exception):
        raise answer
    return prepared, answer.alpha, taken


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """What it gives, and the CPU time that it took, ms."""
    start = time.process_time()
    result = work()
    return result, 1000 * (time.process_time() - start)


def gmac(settings: ModelSettings) -> float:
    """Multiplications for one picture of 1024x576, 10^9."""
    model, _ = load_checkpoint(resolve_path(settings.model_path))
    rgb = torch.zeros((1, *_GMAC_SIZE, 3), dtype=torch.uint8)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        model(rgb, torch.full(rgb.shape[:3], 128, dtype=torch.uint8))
    return float(counter.get_total_flops() / 2e9)

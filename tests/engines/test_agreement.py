"""Each engine gives torch's answer, for every shrink factor, alone and in a batch."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from serve_app.engines.agreement import Agreement, compare, made_pictures
from serve_app.engines.base import Engine
from serve_app.engines.graph import Graph
from serve_app.engines.onnx import OnnxEngine
from serve_app.engines.openvino import OpenVinoEngine
from serve_app.engines.torch import TorchEngine
from serve_app.errors import EngineError
from tests.conftest import picture

ENGINES: list[Callable[..., Engine]] = [OpenVinoEngine, OnnxEngine]
# The small network's view is at most 64 px: factors 1, 2, 4 and 8.
SIZES = [(64, 64), (32, 64), (96, 128), (160, 224), (64, 352)]


@pytest.fixture(scope="module")
def reference(checkpoint: Path) -> TorchEngine:
    return TorchEngine(checkpoint, device="cpu")


@pytest.fixture(scope="module", params=ENGINES, ids=["openvino", "onnx"])
def engine(request: pytest.FixtureRequest, graph: Graph) -> Engine:
    return request.param(graph, "cpu")  # type: ignore[no-any-return]


def unknown(rgb: np.ndarray) -> np.ndarray:
    return np.full(rgb.shape[:3], 128, np.uint8)


def test_noise(engine: Engine, reference: Engine) -> None:
    random = np.random.default_rng(1)
    noise = [random.integers(0, 256, (2, *size, 3), np.uint8) for size in SIZES]
    agreement = compare(engine, reference, [(rgb, unknown(rgb)) for rgb in noise])
    assert agreement.holds("fp32"), agreement


def test_pictures(engine: Engine, reference: Engine) -> None:
    pictures = [picture(*size)[None] for size in SIZES]
    batches = [(rgb, unknown(rgb)) for rgb in pictures]
    agreement = compare(engine, reference, [*batches, *made_pictures(SIZES)])
    assert agreement.holds("fp32"), agreement


def test_the_answers_have_contrast(reference: Engine) -> None:
    rgb = picture(160, 224)[None]
    assert np.ptp(reference.predict(rgb, unknown(rgb))) > 100


def test_an_image_does_not_depend_on_its_batch(engine: Engine) -> None:
    random = np.random.default_rng(2)
    rgb = random.integers(0, 256, (3, 96, 128, 3), np.uint8)
    together = engine.predict(rgb, unknown(rgb))
    for i in range(3):
        alone = engine.predict(rgb[i : i + 1], unknown(rgb[i : i + 1]))[0]
        assert np.abs(alone.astype(int) - together[i]).max() <= 1


def test_read_only_arrays_are_taken(engine: Engine) -> None:
    rgb = picture(64, 64)[None]
    rgb.flags.writeable = False  # as arrays from shared memory are
    assert engine.predict(rgb, unknown(rgb)).shape == (1, 64, 64)


def test_it_says_what_it_is(engine: Engine) -> None:
    assert engine.info.label == f"small/3 ({engine.info.engine}, cpu, fp32)"
    assert len(engine.info.sha256) == 64


@pytest.mark.parametrize("make", ENGINES)
def test_a_gpu_that_is_not_there_is_refused(make: Callable[..., Engine], graph: Graph) -> None:
    with pytest.raises(EngineError, match=r"device: cuda.* set device: cpu"):
        make(graph, "cuda")


@pytest.mark.parametrize("make", ENGINES)
def test_half_precision_on_a_cpu_is_refused(make: Callable[..., Engine], graph: Graph) -> None:
    half = Graph(graph.content, "small", "3", graph.sha256, "fp16", graph.made_by)
    with pytest.raises(EngineError, match="fp16 needs a GPU"):
        make(half, "cpu")


def test_agreement_counts_levels() -> None:
    class Constant:
        def __init__(self, level: int) -> None:
            self.level = level

        def predict(self, rgb: np.ndarray, trimap: np.ndarray) -> np.ndarray:
            alpha = np.full(rgb.shape[:3], 10, np.uint8)
            alpha[0, 0] = self.level
            return alpha

    batches = [(np.zeros((1, 4, 4, 3), np.uint8), np.zeros((1, 4, 4), np.uint8))]
    found = compare(Constant(14), Constant(10), batches)  # type: ignore[arg-type]
    assert found == Agreement(mean=1.0, largest=4, within=0.75)
    assert not found.holds("fp32")
    assert not found.holds("int8")

"""The torch engine: the checkpoint's own answer, and a clear word where something is missing."""

from pathlib import Path

import numpy as np
import pytest
import torch

from serve_app.engines import open_engine
from serve_app.engines.fake import FakeEngine
from serve_app.engines.torch import TorchEngine, find_device
from serve_app.errors import EngineError, EngineOutOfMemory
from serve_app.settings import ModelSettings


def test_it_gives_the_networks_own_answer(checkpoint: Path) -> None:
    engine = TorchEngine(checkpoint, device="cpu")
    rgb = np.random.default_rng(0).integers(0, 256, (2, 64, 96, 3), np.uint8)
    trimap = np.full((2, 64, 96), 128, np.uint8)
    rgb.flags.writeable = False  # as arrays from shared memory are
    with torch.inference_mode():
        expected = engine._model(torch.from_numpy(rgb.copy()), torch.from_numpy(trimap)).numpy()
    assert np.array_equal(engine.predict(rgb, trimap), expected)


def test_it_says_what_it_is(checkpoint: Path) -> None:
    info = TorchEngine(checkpoint, device="cpu").info
    assert info.label == "small/3 (torch, cpu, fp32)"
    assert len(info.sha256) == 64


def test_compiled_it_gives_the_same(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The real compiler takes a minute and needs a C++ compiler; what is checked is the wiring.
    asked: list[bool] = []

    def compile(model: torch.nn.Module, dynamic: bool) -> torch.nn.Module:
        asked.append(dynamic)
        return model

    monkeypatch.setattr(torch, "compile", compile)
    engine = TorchEngine(checkpoint, device="cpu", compile=True)
    rgb, trimap = np.zeros((1, 64, 64, 3), np.uint8), np.zeros((1, 64, 64), np.uint8)
    plain = TorchEngine(checkpoint, device="cpu").predict(rgb, trimap)
    assert np.array_equal(engine.predict(rgb, trimap), plain)
    assert asked == [False]


def test_int8_is_not_for_torch(checkpoint: Path) -> None:
    with pytest.raises(EngineError, match="int8 is not for engine: torch"):
        TorchEngine(checkpoint, device="cpu", precision="int8")


def test_a_device_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(EngineError, match=r"cuda:1 is not there \(1 CUDA devices"):
        find_device("cuda:1")


def test_half_precision_on_a_cpu_is_refused(checkpoint: Path) -> None:
    with pytest.raises(EngineError, match="fp16 needs a GPU"):
        TorchEngine(checkpoint, device="cpu", precision="fp16")


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 byte"),
    ],
)
def test_out_of_memory_has_its_own_error(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    engine = TorchEngine(checkpoint, device="cpu")

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(engine, "_model", fail)
    with pytest.raises(EngineOutOfMemory, match="1 images of 64x64"):
        engine.predict(np.zeros((1, 64, 64, 3), np.uint8), np.zeros((1, 64, 64), np.uint8))


def test_engines_open_by_name(checkpoint: Path) -> None:
    assert isinstance(open_engine(ModelSettings(engine="fake")), FakeEngine)
    opened = open_engine(ModelSettings(model_path=checkpoint, engine="torch", device="cpu"))
    assert isinstance(opened, TorchEngine)

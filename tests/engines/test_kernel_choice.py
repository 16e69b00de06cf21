"""Whose kernels the torch engine takes, what it says where ours cannot be, and their answer."""

import logging
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from serve_app.engines import kernel_choice, open_engine
from serve_app.engines.kernel_choice import (
    check_agreement,
    choose_kernels,
    sizes_for_all_kernels,
    trial_image,
)
from serve_app.engines.torch import TorchEngine
from serve_app.errors import EngineError
from serve_app.models.folding import fold_batch_norms
from serve_app.models.unet import shrink_factor, view_size
from serve_app.settings import ModelSettings, resolve_path
from tests.engines.conftest import small_network

on_a_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
CPU, GPU = torch.device("cpu"), torch.device("cuda")
DEVICE = GPU if torch.cuda.is_available() else CPU


@pytest.mark.parametrize("wanted", ["auto", "torch"])
def test_on_a_cpu_they_are_pytorchs_and_nothing_is_said(wanted: str) -> None:
    assert choose_kernels(wanted, small_network(), CPU, "fp32", False) == (None, "")


def test_asked_for_where_they_cannot_be_they_are_refused(checkpoint: Path) -> None:
    settings = ModelSettings(model_path=checkpoint, engine="torch", device="cpu", kernels="triton")
    with pytest.raises(EngineError, match=r"kernels: triton cannot be: .* fp32 on cpu; set"):
        open_engine(settings)


def broken(*_: object) -> None:
    raise RuntimeError("Failed to find C compiler")


def test_what_does_not_compile_is_said_aloud(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(kernel_choice, "_compiled_kernels", broken)
    with caplog.at_level(logging.WARNING, "ray.serve.cvunet"):
        own, said = choose_kernels("auto", small_network(), GPU, "fp16", False)
    assert own is None
    assert (
        said == "kernels: torch (triton's cannot be used: RuntimeError: Failed to find C compiler)"
    )
    assert "apt-get install gcc" in caplog.text
    with pytest.raises(EngineError, match="Failed to find C compiler: they need"):
        choose_kernels("triton", small_network(), GPU, "fp16", False)


def test_wrong_sums_are_refused(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("triton", reason="has wheels for Linux on x86-64 only")
    from serve_app.engines.fused import FusedNetwork

    model = small_network().to(DEVICE)
    fold_batch_norms(model)
    network = FusedNetwork(model)
    check_agreement(network, model, DEVICE)
    weight = network.detail.up.weight
    weight.copy_(weight.roll(1, 0))

    def compiled(*_: object) -> FusedNetwork:
        check_agreement(network, model, DEVICE)
        return network

    monkeypatch.setattr(kernel_choice, "_compiled_kernels", compiled)
    with caplog.at_level(logging.WARNING, "ray.serve.cvunet"):
        own, said = choose_kernels("auto", model, GPU, "fp16", False)
    assert own is None
    assert re.search(r"triton's cannot be used: on .* \d+ of 255 off PyTorch's .* most 6 is", said)
    assert "ours cannot be used (on " in caplog.text
    assert "gcc" not in caplog.text  # which is no remedy for this


def test_pytorchs_compiler_takes_its_own() -> None:
    assert choose_kernels("auto", small_network(), GPU, "fp16", True) == (None, "")
    with pytest.raises(EngineError, match=r"without model\.compile"):
        choose_kernels("triton", small_network(), GPU, "fp16", True)


@pytest.mark.parametrize("side", [64, 512])
def test_the_images_that_are_tried_take_both_kinds_of_view(side: int) -> None:
    means, resized = sizes_for_all_kernels(side)
    assert view_size(means, side) == means
    assert shrink_factor(resized, side) == 1
    assert view_size(resized, side) != resized
    rgb, trimap = trial_image(*resized)
    assert (rgb.shape, trimap.shape) == ((1, *resized, 3), (1, *resized))
    assert trimap.unique().tolist() == [0, 128, 255]


@on_a_gpu
def test_the_engine_takes_them_and_says_so(checkpoint: Path) -> None:
    engine = TorchEngine(checkpoint, "cuda")
    assert engine.info.reason == "set; kernels: triton"
    assert TorchEngine(checkpoint, "cuda", kernels="torch").info.reason == "set"


@pytest.fixture(scope="module")
def engines() -> tuple[TorchEngine, TorchEngine]:
    path = resolve_path(ModelSettings().model_path)
    own = TorchEngine(path, "cuda", max_batch_size=16, kernels="triton")
    return own, TorchEngine(path, "cuda", "fp32", cuda_graphs=False)


@on_a_gpu
@pytest.mark.parametrize(
    ("images", "size"),
    [
        *((1, (32, 32)), (1, (320, 320)), (3, (288, 512)), (3, (544, 96)), (1, (704, 1280))),
        *((1, (576, 1024)), (3, (1024, 576)), (3, (1024, 1024)), (16, (576, 1024))),
    ],
)
def test_on_a_gpu_they_give_what_pytorchs_give(
    engines: tuple[TorchEngine, TorchEngine], images: int, size: tuple[int, int]
) -> None:
    rgb, trimap = picture(images, *size)
    own, exact = (engine.predict(rgb, trimap).astype(int) for engine in engines)
    apart = np.abs(own - exact)
    assert (apart <= 2).mean() > 0.999, f"{apart.max()} at most, {apart.mean():.4f} on average"
    assert apart.mean() < 0.2


def picture(images: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Discs on gradients, with some noise, and trimaps that know a little."""
    random = np.random.default_rng(images + height)
    y, x = np.mgrid[:height, :width]
    rgb = random.integers(0, 40, (images, height, width, 3), np.uint8)
    rgb[..., 1] += (180 * y // height).astype(np.uint8)
    disc = (y - height / 2) ** 2 + (x - width / 2) ** 2 < (min(height, width) / 3) ** 2
    rgb[:, disc, 0] += 200
    trimap = np.full((images, height, width), 128, np.uint8)
    trimap[:, : height // 8] = 0
    return rgb, trimap

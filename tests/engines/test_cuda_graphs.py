"""CUDA graphs: what is recorded, and that a replay gives what the network gives."""

from pathlib import Path

import numpy as np
import pytest
import torch

from serve_app.engines import cuda_graphs
from serve_app.engines.cuda_graphs import recorded_batch
from serve_app.engines.torch import TorchEngine
from serve_app.types import Array

on_a_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")


def batch(images: int, seed: int = 0) -> tuple[Array, Array]:
    rgb = np.random.default_rng(seed).integers(0, 256, (images, 64, 96, 3), np.uint8)
    return rgb, np.full((images, 64, 96), 128, np.uint8)


@pytest.mark.parametrize(("images", "recorded"), [(1, 1), (2, 2), (3, 4), (4, 4), (9, 16)])
def test_batches_are_recorded_at_powers_of_two(images: int, recorded: int) -> None:
    assert recorded_batch(images) == recorded


@on_a_gpu
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_replay_gives_what_the_network_gives(checkpoint: Path, precision: str) -> None:
    recorded = TorchEngine(checkpoint, "cuda", precision)
    plain = TorchEngine(checkpoint, "cuda", precision, cuda_graphs=False)
    for images in (4, 3, 1, 4):  # 3 replays the graph of 4, with one image of before in it
        rgb, trimap = batch(images, seed=images)
        apart = np.abs(recorded.predict(rgb, trimap).astype(int) - plain.predict(rgb, trimap))
        assert apart.max() <= 2


@on_a_gpu
def test_an_answer_is_not_overwritten_by_the_next(checkpoint: Path) -> None:
    engine = TorchEngine(checkpoint, "cuda", "fp16")
    first = engine.predict(*batch(2))
    kept = first.copy()
    engine.predict(*batch(2, seed=1))
    assert np.array_equal(first, kept)


@on_a_gpu
def test_past_the_most_graphs_it_runs_without(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cuda_graphs, "MOST_GRAPHS", 1)
    engine = TorchEngine(checkpoint, "cuda", "fp16")
    for images in (1, 2, 1):
        assert engine.predict(*batch(images)).shape == (images, 64, 96)

"""CUDA graphs: what is recorded, and that a replay gives what the network gives."""

from pathlib import Path

import numpy as np
import pytest
import torch

from serve_app.batching import warm_up
from serve_app.engines import cuda_graphs
from serve_app.engines.cuda_graphs import filled, recorded_batch, recorded_batches
from serve_app.engines.torch import TorchEngine
from serve_app.types import Array

on_a_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")


def batch(images: int, seed: int = 0) -> tuple[Array, Array]:
    rgb = np.random.default_rng(seed).integers(0, 256, (images, 64, 96, 3), np.uint8)
    return rgb, np.full((images, 64, 96), 128, np.uint8)


@pytest.mark.parametrize(("images", "recorded"), [(1, 1), (2, 4), (4, 4), (5, 16), (16, 16)])
def test_batches_are_recorded_at_powers_of_four(images: int, recorded: int) -> None:
    assert recorded_batch(images, most=16) == recorded


@pytest.mark.parametrize(
    ("most", "batches"),
    [(1, (1,)), (2, (1, 2)), (8, (1, 4, 8)), (16, (1, 4, 16)), (32, (1, 4, 16, 32))],
)
def test_none_is_recorded_beyond_the_most(most: int, batches: tuple[int, ...]) -> None:
    assert recorded_batches(most) == batches
    assert recorded_batch(most + 1, most) == most + 1  # which nobody has prepared for


def test_a_batch_is_filled_up_behind_its_images() -> None:
    rgb, trimap = (torch.from_numpy(array) for array in batch(3))
    assert filled(rgb, 3) is rgb
    for given in (rgb, trimap):
        full = filled(given, 4)
        assert full.dtype == torch.uint8
        assert torch.equal(full[:3], given)
        assert full[3].count_nonzero() == 0


def test_after_the_warm_up_nothing_runs_for_the_first_time(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The real engine on a CPU, told to prepare as it does on a GPU.
    engine = TorchEngine(checkpoint, device="cpu")
    monkeypatch.setattr(engine, "batches", recorded_batches(6))
    run: set[tuple[int, ...]] = set()
    network = engine._model

    def noted(rgb: torch.Tensor, trimap: torch.Tensor) -> torch.Tensor:
        run.add(tuple(trimap.shape))
        return network(rgb, trimap)

    monkeypatch.setattr(engine, "_model", noted)
    warm_up(engine, [(60, 90), (64, 64)], bucket_step=32)
    for bucket in ((64, 96), (64, 64)):
        assert {(recorded_batch(images, 6), *bucket) for images in range(1, 7)} <= run
    assert len(run) == 6


@on_a_gpu
def test_on_a_gpu_the_warm_up_records_all_there_will_be(checkpoint: Path) -> None:
    engine = TorchEngine(checkpoint, "cuda", "fp16", max_batch_size=6)
    warm_up(engine, [(64, 96)], bucket_step=32)
    network = engine._model
    assert isinstance(network, cuda_graphs.RecordedNetwork)
    recorded = set(network._recordings)
    for images in range(1, 7):
        engine.predict(*batch(images))
    assert set(network._recordings) == recorded


@on_a_gpu
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_replay_gives_what_the_network_gives(checkpoint: Path, precision: str) -> None:
    recorded = TorchEngine(checkpoint, "cuda", precision, max_batch_size=4)
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
    engine = TorchEngine(checkpoint, "cuda", "fp16", max_batch_size=4)
    for images in (1, 3, 1):
        assert engine.predict(*batch(images)).shape == (images, 64, 96)

"""A small network with contrast, its checkpoint and its graph, made once."""

from pathlib import Path

import pytest
import torch

from serve_app.engines.graph import Graph, load_graph
from serve_app.models.checkpoint import save_checkpoint
from serve_app.models.unet import UNetMatting


def small_network(seed: int = 0) -> UNetMatting:
    """Its view is at most 64 px, so that small inputs use several shrink factors."""
    torch.manual_seed(seed)
    model = UNetMatting(
        context_side=64, encoder_width=0.25, encoder_depth=0.5, decoder_width=8, detail_width=8
    )
    with torch.no_grad():  # untrained heads give a flat grey, which any engine would get right
        for head, gain in ((model.context.head, 40), (model.detail.head, 20)):
            head.weight -= head.weight.mean(1, keepdim=True)
            head.weight *= gain
            head.bias.zero_()
    return model.eval()


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "small.safetensors"
    save_checkpoint(path, small_network(), version="3", metrics={})
    return path


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def graph(checkpoint: Path, cache: Path) -> Graph:
    return load_graph(checkpoint, "fp32", cache)

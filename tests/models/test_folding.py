"""Folded batch norms: the same answer, and nothing left to fold."""

import copy

import torch
from torch import nn

from serve_app.models.folding import fold_batch_norms
from serve_app.models.unet import UNetMatting
from tests.engines.conftest import small_network


def lively_network() -> UNetMatting:
    """Its batch norms do something, as trained ones do."""
    network = small_network()
    torch.manual_seed(1)
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.running_mean, -0.2, 0.2)  # type: ignore[arg-type]
            nn.init.uniform_(part.running_var, 0.5, 2)  # type: ignore[arg-type]
            nn.init.uniform_(part.weight, 0.5, 2)
            nn.init.uniform_(part.bias, -0.2, 0.2)
    return network


def test_a_folded_network_answers_as_before() -> None:
    network = lively_network()
    folded = copy.deepcopy(network)
    fold_batch_norms(folded)
    rgb = torch.randint(0, 256, (2, 96, 128, 3), dtype=torch.uint8)
    trimap = torch.full((2, 96, 128), 128, dtype=torch.uint8)
    with torch.inference_mode():
        expected, found = network.logits(rgb, trimap), folded.logits(rgb, trimap)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_no_norm_is_left_and_the_rest_is_untouched() -> None:
    network = lively_network()
    fold_batch_norms(network)
    assert not any(isinstance(part, nn.BatchNorm2d) for part in network.modules())
    lone = nn.Sequential(nn.ReLU(), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1)).eval()
    fold_batch_norms(lone)
    assert isinstance(lone[1], nn.BatchNorm2d)

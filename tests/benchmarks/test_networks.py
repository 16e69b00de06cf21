"""The networks that ours is compared with cost what they are said to cost."""

import numpy as np
import torch
from torch import nn

from benchmarks.networks import PlainEngine, PlainUNet, gflops
from benchmarks.peers.exported import SIDE, AsRembgTakesIt
from benchmarks.peers.u2net import U2Net
from benchmarks.roofline import layer_costs
from serve_app.models.unet import UNetMatting

# rembg's own normalisation of a picture whose brightest byte is 255.
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def test_u2net_has_its_published_size() -> None:
    with torch.device("meta"):
        network = U2Net()
        out = network.eval()(torch.zeros(1, 3, 320, 320))
    assert round(sum(p.numel() for p in network.parameters()) / 1e6, 1) == 44.0
    assert out.shape == (1, 1, 320, 320)


def test_the_plain_unet_costs_what_its_layers_sum_up_to() -> None:
    # Two 3x3 convolutions a scale going down, an up-convolution and two more going up, a 1x1 head.
    size, width, expected, before = 64, 32, 0.0, 4
    for scale in range(5):
        pixels, channels = (size / 2**scale) ** 2, width * 2**scale
        expected += 2 * 9 * pixels * channels * (before + channels)
        if scale < 4:
            expected += 2 * pixels * channels * 2 * channels  # 2x2, stride 2: one tap each
            expected += 2 * 9 * pixels * channels * (2 * channels + channels)
        before = channels
    expected += 2 * size**2 * width
    assert gflops(PlainUNet().eval(), (size, size)) == np.float64(expected / 1e9)


def test_the_plain_engines_agree() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (2, 32, 48, 3), np.uint8)
    trimap = np.full((2, 32, 48), 128, np.uint8)
    torch_alpha = PlainEngine("torch", "cpu", "fp32").predict(rgb, trimap)
    compiled = PlainEngine("openvino", "cpu", "fp32").predict(rgb, trimap)
    assert torch_alpha.shape == (2, 32, 48)
    assert torch_alpha.std() > 0
    assert np.abs(torch_alpha.astype(int) - compiled).max() <= 1


def test_rembgs_normalisation_is_undone() -> None:
    image = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    image[0, 0] = 255
    torch.manual_seed(0)
    network = UNetMatting().eval()
    rgb, trimap = torch.from_numpy(image[None]), torch.full((1, SIDE, SIDE), 128).byte()
    normalised = ((image / 255 - MEAN) / STD).transpose(2, 0, 1)[None].astype(np.float32)
    with torch.inference_mode():
        expected = network(rgb, trimap).numpy()[0]
        given = AsRembgTakesIt(network).eval()(torch.from_numpy(normalised))
    assert expected.std() > 0
    assert np.array_equal(np.rint(given.numpy()[0, 0] * 255).astype(np.uint8), expected)


def test_a_layers_operations_and_bytes() -> None:
    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution = nn.Conv2d(3, 8, 3, padding=1, bias=False)
            self.norm = nn.BatchNorm2d(8)

        def forward(self, rgb: torch.Tensor, trimap: torch.Tensor) -> torch.Tensor:
            return self.norm(self.convolution(rgb)) + trimap

    with torch.inference_mode():
        costs = layer_costs(Network().eval(), torch.zeros(2, 3, 16, 20), torch.zeros(1))
    values = 2 * 3 * 16 * 20 + 2 * 8 * 16 * 20 + 8 * 3 * 9  # in, out, weights
    assert costs == [(2 * 9 * 3 * 8 * 16 * 20 * 2, 4 * values)]

"""The kernels against PyTorch's own operations; Triton interprets them where there is no GPU."""

import platform
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Not importorskip: where Triton has wheels, its absence must fail, not pass unseen.
if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
    pytest.skip("Triton has wheels for Linux on x86-64 only", allow_module_level=True)

from serve_app.engines.fused import FusedNetwork
from serve_app.engines.kernels import sums, views, weights
from serve_app.engines.kernels.shared import NONE, RELU, RELU6
from serve_app.engines.kernels.tiles import Tile
from serve_app.models.efficientnet_lite import InvertedResidual
from serve_app.models.folding import fold_batch_norms
from serve_app.models.unet import (
    UNetMatting,
    bilinear_blocks,
    shrink_factor,
    shrink_to,
    stretched_sigmoid,
    to_blocks,
    view_size,
    with_hints,
)
from tests.engines.conftest import small_network

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
ACTIVATIONS: dict[int, Callable[[Tensor], Tensor]] = {
    NONE: lambda x: x,
    RELU: F.relu,
    RELU6: F.relu6,
}


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)
    # The reference is FP32: TF32 would be no better than what is tested.
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False


def halves(*shape: int) -> Tensor:
    """Normal values that FP16 has, as a map [N, H, W, C]."""
    return torch.randn(*shape, device=DEVICE).half()


def convolution(
    before: int, after: int, kernel: int, stride: int = 1, groups: int = 1
) -> nn.Conv2d:
    layer = nn.Conv2d(before, after, kernel, stride, kernel // 2, groups=groups)
    with torch.no_grad():
        layer.weight.copy_(layer.weight.half().float())
    return layer.to(DEVICE)


def channels_first(x: Tensor) -> Tensor:
    return x.float().permute(0, 3, 1, 2)


def resized(x: Tensor, size: torch.Size | tuple[int, ...]) -> Tensor:
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=False)


def check(given: Tensor, expected: Tensor) -> None:
    """[N, H, W, C] in FP16 against [N, C, H, W] in FP32: apart by what FP16 rounds to."""
    torch.testing.assert_close(channels_first(given), expected, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("activation", [NONE, RELU, RELU6])
@pytest.mark.parametrize(("before", "after"), [(16, 96), (24, 16), (40, 8), (112, 24)])
def test_pointwise(before: int, after: int, activation: int) -> None:
    layer, x, residual = (
        convolution(before, after, 1),
        halves(2, 3, 5, before),
        halves(2, 3, 5, after),
    )
    own = weights.pointwise(layer, 8, activation)
    expected = ACTIVATIONS[activation](layer(channels_first(x)))
    check(own(x), expected)
    check(own(x, residual), expected + channels_first(residual))


@pytest.mark.parametrize("scale", [8, 16, 32])
@pytest.mark.parametrize("coarse_size", [(3, 4), (2, 3)])
def test_a_lateral_takes_a_hint_and_adds_a_coarser_map(
    scale: int, coarse_size: tuple[int, int]
) -> None:
    layer, x, hint = convolution(25, 24, 1), halves(2, 6, 8, 24), halves(2, 6, 8)
    coarse = halves(2, *coarse_size, 24)
    expected = layer(torch.cat([channels_first(x), hint.float()[:, None]], 1))
    expected = expected + resized(channels_first(coarse), (6, 8))
    check(weights.lateral(layer, scale)(x, hint=hint, coarse=coarse), expected)


def test_the_coarsest_lateral_has_a_bias_for_each_image() -> None:
    layer, x, hint, scene = (
        convolution(41, 24, 1),
        halves(3, 3, 5, 40),
        halves(3, 3, 5),
        convolution(40, 24, 1),
    )
    mean = channels_first(x).mean((2, 3), keepdim=True)
    expected = layer(torch.cat([channels_first(x), hint.float()[:, None]], 1)) + scene(mean)
    bias = weights.scene(scene, layer)(x)
    check(weights.lateral(layer, 32)(x, hint=hint, image_bias=bias), expected)


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 1), (5, 2)])
@pytest.mark.parametrize(("channels", "size"), [(40, (9, 14)), (24, (4, 2))])
@pytest.mark.parametrize("in_one", [False, True])
def test_inverted_residual(
    kernel: int, stride: int, channels: int, size: tuple[int, int], in_one: bool
) -> None:
    block = InvertedResidual(channels, 40, kernel, stride, 2).to(DEVICE)
    x = halves(2, *size, channels)
    own = weights.inverted(block, 8, in_one)
    assert (own.depthwise is None, own.expand is None) == (in_one, in_one)
    with torch.no_grad():
        for part in block.parameters():
            part.copy_(part.half())
        expected = block(channels_first(x))
    check(own(x), expected)


@pytest.mark.parametrize(("kernel", "height"), [(3, 8), (5, 9)])
def test_depthwise_by_pairs_of_rows(kernel: int, height: int) -> None:
    block = InvertedResidual(24, 24, kernel, 1, 1).to(DEVICE)
    own = weights.inverted(block, 8, in_one=False).depthwise
    assert own is not None
    x = halves(2, height, 5, 24)
    for tile in (Tile(4, 8, 32), Tile(2, 8, 16)):
        given = replace(own, tile=replace(tile, pairs=True))(x)
        torch.testing.assert_close(given, replace(own, tile=tile)(x), rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize(
    ("before", "after", "stride"), [(8, 8, 1), (32, 24, 2), (64, 40, 1), (16, 64, 2)]
)
def test_dense(before: int, after: int, stride: int) -> None:
    layer, x = convolution(before, after, 3, stride), halves(2, 10, 18, before)
    expected = F.relu(layer(channels_first(x)))
    check(weights.dense(layer)(x)[0], expected)
    head = convolution(after, 1, 1)
    out, logits = weights.dense(layer, head=head)(x)
    check(out, expected)
    torch.testing.assert_close(logits[:, None], head(expected), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("size", [(64, 96), (64, 128), (96, 224), (32, 32), (64, 320)])
def test_view_and_hints(size: tuple[int, int]) -> None:
    network, (rgb, trimap) = UNetMatting(), images(2, *size)
    expected = shrink_to(network.image(rgb.cpu(), trimap.cpu()), 64)
    view = views.view_of(rgb, trimap, shrink_factor(size, 64), view_size(size, 64))
    check(view.cpu(), expected)
    height, width = expected.shape[2:]
    levels = [torch.zeros(2, 0, height // s, width // s) for s in (4, 8, 16, 32)]
    for hint, level in zip(views.hints_of(view), with_hints(levels, expected[:, 3:]), strict=True):
        check(hint.cpu()[..., None], level)


def test_the_first_convolutions() -> None:
    layer, view = convolution(3, 24, 3, 2), halves(2, 32, 64, 4)
    check(weights.view_stem(layer)(view), F.relu6(layer(channels_first(view)[:, :3])))

    layer, (rgb, trimap) = convolution(16, 24, 3, 2), images(2, 32, 96)
    coarse = halves(2, 4, 12, 24)
    blocks = to_blocks(UNetMatting().to(DEVICE).image(rgb, trimap))
    expected = F.relu(layer(blocks)) + resized(channels_first(coarse), (8, 24))
    check(weights.block_stem(layer)(rgb, trimap, coarse), expected)


def test_a_coarser_map_is_added() -> None:
    x, coarse = halves(2, 12, 10, 24), halves(2, 6, 5, 24)
    expected = channels_first(x) + resized(channels_first(coarse), (12, 10))
    check(sums.add_resized(x, coarse), expected)


@pytest.mark.parametrize("coarse_size", [(6, 10), (3, 5), (4, 6)])
def test_the_alpha(coarse_size: tuple[int, int]) -> None:
    layer, x = convolution(24, 16, 3), halves(2, 6, 10, 24)
    enlarge = bilinear_blocks(4).to(DEVICE)
    coarse = torch.randn(2, *coarse_size, device=DEVICE) * 3
    logits = F.pad(resized(coarse[:, None], (6, 10)), (1, 1, 1, 1), mode="replicate")
    logits = layer(channels_first(x)) + F.conv2d(logits, enlarge)
    expected = F.pixel_shuffle(stretched_sigmoid(logits).clamp(0, 1) * 255, 4)[:, 0]
    given = weights.alpha_head(layer, enlarge)(x, coarse)
    assert given.shape == (2, 24, 40)
    assert (given - expected).abs().max() <= 0.6


@pytest.mark.parametrize(("number", "height", "width"), [(1, 64, 96), (2, 64, 32), (1, 32, 224)])
def test_the_whole_network(number: int, height: int, width: int) -> None:
    network = small_network().to(DEVICE)
    fold_batch_norms(network)
    rgb, trimap = images(number, height, width)
    with torch.inference_mode():
        apart = FusedNetwork(network)(rgb, trimap).int() - network(rgb, trimap).int()
    assert apart.abs().max() <= 2
    assert apart.float().abs().mean() < 0.05  # of 255


def test_widths_that_the_kernels_do_not_take_are_refused() -> None:
    with pytest.raises(ValueError, match="decoder_width=12 and detail_width=8 must be multiples"):
        FusedNetwork(UNetMatting(decoder_width=12, detail_width=8))


def images(number: int, height: int, width: int) -> tuple[Tensor, Tensor]:
    rgb = torch.randint(0, 256, (number, height, width, 3), dtype=torch.uint8, device=DEVICE)
    trimap = torch.randint(0, 256, (number, height, width), dtype=torch.uint8, device=DEVICE)
    return rgb, trimap

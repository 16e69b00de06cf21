"""The network keeps its contract: bytes in and out, any legal size, within its cost."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from serve_app.models.unet import (
    STRIDE,
    UNetConfig,
    UNetMatting,
    shrink_to,
    stretched_sigmoid,
    view_size,
)


@pytest.fixture(scope="module")
def model() -> UNetMatting:
    torch.manual_seed(0)
    return UNetMatting().eval()


def batch(count: int, height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    rgb = torch.randint(0, 256, (count, height, width, 3), dtype=torch.uint8)
    return rgb, torch.full((count, height, width), 128, dtype=torch.uint8)


@pytest.mark.parametrize("size", [(STRIDE, STRIDE), (64, 320), (288, 512), (32, 1280)])
def test_bytes_in_bytes_out_at_any_legal_size(model: UNetMatting, size: tuple[int, int]) -> None:
    with torch.inference_mode():
        alpha = model(*batch(2, *size))
    assert alpha.shape == (2, *size)
    assert alpha.dtype == torch.uint8


def test_cost_stays_under_its_caps(model: UNetMatting) -> None:
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        model(*batch(1, 576, 1024))
    assert counter.get_total_flops() / 2 <= 6e9  # multiply-adds
    assert sum(p.numel() for p in model.parameters()) <= 10e6


def test_an_image_is_alone_in_its_batch(model: UNetMatting) -> None:
    rgb, trimap = batch(3, 64, 96)
    with torch.inference_mode():
        together = model(rgb, trimap)
        alone = torch.cat([model(rgb[i : i + 1], trimap[i : i + 1]) for i in range(3)])
    assert (together.int() - alone.int()).abs().max() <= 1


def test_the_trimap_reaches_the_answer(model: UNetMatting) -> None:
    rgb, trimap = batch(1, 64, 64)
    with torch.inference_mode():
        assert not torch.equal(model(rgb, trimap), model(rgb, torch.zeros_like(trimap)))


def test_the_context_view_is_a_mean_of_blocks() -> None:
    image = torch.arange(256.0 * 256).view(1, 1, 256, 256)
    view = shrink_to(image, 64)
    assert view.shape[-2:] == (64, 64)
    assert view[0, 0, 0, 0] == image[0, 0, :4, :4].mean()
    assert shrink_to(image, 256) is image


def test_between_powers_of_two_the_view_is_scaled_the_rest_of_the_way() -> None:
    ramp = torch.arange(192.0).expand(1, 1, 96, 192)
    view = shrink_to(ramp, 128)
    assert view.shape[-2:] == (64, 128)
    # A ramp stays one, its pixels' centres 1.5 apart.
    torch.testing.assert_close(view[0, 0, 5, 1:-1], (torch.arange(128.0) * 1.5 + 0.25)[1:-1])


@pytest.mark.parametrize(
    ("size", "view"),
    [
        ((576, 1024), (288, 512)),
        ((704, 1024), (352, 512)),
        ((608, 800), (384, 512)),
        ((512, 32), (512, 32)),
        ((2048, 32), (512, 32)),
        ((544, 960), (288, 512)),
    ],
)
def test_the_longest_side_of_a_view_is_the_context_side(
    size: tuple[int, int], view: tuple[int, int]
) -> None:
    assert view_size(size, 512) == view
    assert shrink_to(torch.zeros(1, 1, *size), 512).shape[-2:] == view


def test_the_stretched_sigmoid_reaches_both_ends() -> None:
    alpha = stretched_sigmoid(torch.tensor([-6.0, 0.0, 6.0])).clamp(0, 1)
    assert alpha.tolist() == pytest.approx([0.0, 0.5, 1.0])


@pytest.mark.parametrize("options", [{"in_channels": 3}, {"out_channels": 2}])
def test_another_shape_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="not"):
        UNetConfig(**options)  # type: ignore[arg-type]

"""The network keeps its contract: bytes in and out, any legal size, within its cost."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from serve_app.models.unet import STRIDE, UNetConfig, UNetMatting, shrink_to, stretched_sigmoid


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
    image = torch.arange(64.0 * 64).view(1, 1, 64, 64)
    view = shrink_to(image, 16)
    assert view.shape[-2:] == (16, 16)
    assert view[0, 0, 0, 0] == image[0, 0, :4, :4].mean()
    assert shrink_to(image, 64) is image


def test_the_stretched_sigmoid_reaches_both_ends() -> None:
    alpha = stretched_sigmoid(torch.tensor([-6.0, 0.0, 6.0])).clamp(0, 1)
    assert alpha.tolist() == pytest.approx([0.0, 0.5, 1.0])


@pytest.mark.parametrize("options", [{"in_channels": 3}, {"out_channels": 2}])
def test_another_shape_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="not"):
        UNetConfig(**options)  # type: ignore[arg-type]

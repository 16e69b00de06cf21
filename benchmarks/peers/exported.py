"""Networks as rembg's `u2net_custom` session takes them: float [1, 3, 320, 320], normalised."""

import logging
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.peers.environment import FOLDER
from benchmarks.peers.u2net import U2Net
from serve_app.models.checkpoint import load_checkpoint
from serve_app.models.unet import UNetMatting
from serve_app.types import UNKNOWN

SIDE = 320  # px; rembg scales every picture to it

# rembg divides by the brightest byte, subtracts these and divides by those.
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class AsRembgTakesIt(nn.Module):
    """Our network with rembg's normalisation undone before it."""

    def __init__(self, network: UNetMatting) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(_STD).view(1, 3, 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        """float32 [1, 3, H, W], normalised -> float32 [1, 1, H, W] in 0-1."""
        levels = ((image * self.std + self.mean) * 255).round().clamp(0, 255)
        rgb = levels.to(torch.uint8).permute(0, 2, 3, 1)
        trimap = torch.full_like(rgb[..., 0], UNKNOWN)
        return self.network(rgb, trimap).unsqueeze(1).float() / 255


def export(model_path: Path) -> dict[str, Path]:
    """Write both networks where rembg looks for them; returns the files by name."""
    torch.manual_seed(0)
    networks: dict[str, nn.Module] = {
        "ours": AsRembgTakesIt(load_checkpoint(model_path)[0]).eval(),
        "u2net": U2Net().eval(),
    }
    folder = FOLDER / "rembg" / "models" / "u2net_custom"
    folder.mkdir(parents=True, exist_ok=True)
    files = {name: folder / f"{name}.onnx" for name in networks}
    for name, network in networks.items():
        write(network, files[name])
    return files


def write(network: nn.Module, file: Path) -> None:
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        torch.onnx.export(
            network,
            (torch.zeros(1, 3, SIDE, SIDE),),
            file,
            dynamo=True,
            verbose=False,
            external_data=False,
            input_names=["image"],
            output_names=["alpha"],
        )


def gflops(network: nn.Module) -> float:
    """Billions of multiplications and additions for one picture at rembg's size."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.eval()(torch.zeros(1, 3, SIDE, SIDE))
    return float(counter.get_total_flops()) / 1e9

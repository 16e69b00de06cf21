"""A plain U-Net of the usual width, as an engine: what a service without our network runs.

It is randomly initialised, so its mattes mean nothing; its time and its memory are those of a
trained one. Ronneberger et al., MICCAI 2015, with padded convolutions and batch norm: two 3x3
convolutions at each of five scales, 32 channels at the first, doubled at each next.
"""

import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from serve_app.engines.availability import need
from serve_app.engines.base import EngineInfo
from serve_app.types import Array, Size

WIDTH = 32
_SCALES = 5


class PlainUNet(nn.Module):
    """RGB and trimap in, alpha out, as `UNetMatting`: uint8 [N, H, W, 3], [N, H, W] -> [N, H, W].

    H and W are multiples of 16 px.
    """

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        widths = [width * 2**scale for scale in range(_SCALES)]
        self.down = nn.ModuleList(
            _two_convolutions(before, after)
            for before, after in zip([4, *widths], widths, strict=False)
        )
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * w, w, 2, 2) for w in widths[-2::-1])
        self.merge = nn.ModuleList(_two_convolutions(2 * w, w) for w in widths[-2::-1])
        self.head = nn.Conv2d(width, 1, 1)

    def forward(self, rgb: Tensor, trimap: Tensor) -> Tensor:
        image = torch.cat([rgb, trimap.unsqueeze(3)], 3).permute(0, 3, 1, 2)
        x = image.to(self.head.weight.dtype) / 127.5 - 1
        skips = []
        for scale, convolutions in enumerate(self.down):
            x = convolutions(nn.functional.max_pool2d(x, 2) if scale else x)
            skips.append(x)
        for up, merge, skip in zip(self.up, self.merge, skips[-2::-1], strict=True):
            x = merge(torch.cat([up(x), skip], 1))
        return (torch.sigmoid(self.head(x).float()) * 255).round().to(torch.uint8).squeeze(1)


def _two_convolutions(before: int, after: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (before, after):
        layers += [nn.Conv2d(channels, after, 3, padding=1, bias=False), nn.BatchNorm2d(after)]
        layers += [nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class PlainEngine:
    """The plain U-Net behind the engine protocol, in torch or compiled by OpenVINO."""

    def __init__(self, engine: str, device: str, precision: str) -> None:
        torch.manual_seed(0)
        self._device = device
        model = PlainUNet().eval().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._model = model.half() if precision == "fp16" else model
        self._openvino = engine == "openvino"
        if engine == "compile":
            self._model = torch.compile(self._model, dynamic=False)
        self._compiled: dict[Size, Any] = {}
        self.batches: tuple[int, ...] = (1,)
        self.info = EngineInfo("plain-unet-32", "random", "0" * 64, engine, device, precision)

    def predict(self, rgb: Array, trimap: Array) -> Array:
        if self._openvino:
            run = self._request((rgb.shape[1], rgb.shape[2]))
            pairs = zip(rgb, trimap, strict=True)
            return np.concatenate([run((image[None], known[None]))[0] for image, known in pairs])
        with torch.inference_mode():
            inputs = (torch.from_numpy(np.array(array)).to(self._device) for array in (rgb, trimap))
            return np.asarray(self._model(*inputs).cpu().numpy(), np.uint8)

    def _request(self, size: Size) -> Any:
        if size not in self._compiled:
            openvino = need("openvino", "openvino")
            shapes = ((1, *size, 3), (1, *size))
            examples = tuple(torch.zeros(shape, dtype=torch.uint8) for shape in shapes)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the converter's own deprecations
                program = torch.export.export(self._model, examples)
                model = openvino.convert_model(program)
            hints = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
            self._compiled[size] = openvino.compile_model(model, "CPU", hints)
        return self._compiled[size]


def gflops(network: nn.Module, size: Size) -> float:
    """Billions of multiplications and additions for one image of (height, width)."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, *size, 3, dtype=torch.uint8), torch.zeros(1, *size).byte())
    return float(counter.get_total_flops()) / 1e9

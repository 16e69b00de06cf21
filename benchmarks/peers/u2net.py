"""A network of U2-Net's published layers, randomly initialised: its mattes mean nothing, its cost
is that of the networks that most users of rembg have run.

Written from the paper (Qin et al., Pattern Recognition 2020, figures 2 and 5, table 1), not from
its code. 44.0 M parameters.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Per stage: depth of its inner U (0: dilated, no pooling), then channels in, inside and out.
_ENCODER = (
    (7, 3, 32, 64),
    (6, 64, 32, 128),
    (5, 128, 64, 256),
    (4, 256, 128, 512),
    (0, 512, 256, 512),
    (0, 512, 256, 512),
)
_DECODER = (
    (0, 1024, 256, 512),
    (4, 1024, 128, 256),
    (5, 512, 64, 128),
    (6, 256, 32, 64),
    (7, 128, 16, 64),
)
_DILATIONS = (1, 2, 4, 8)  # of a stage that does not pool


class U2Net(nn.Module):
    """float32 [N, 3, H, W] -> float32 [N, 1, H, W] in 0-1, the fused map."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.ModuleList(_block(*row) for row in _ENCODER)
        self.decoder = nn.ModuleList(_block(*row) for row in _DECODER)
        sides = [row[3] for row in _DECODER[::-1]] + [_ENCODER[-1][3]]
        self.sides = nn.ModuleList(nn.Conv2d(channels, 1, 3, padding=1) for channels in sides)
        self.fuse = nn.Conv2d(len(sides), 1, 1)

    def forward(self, image: Tensor) -> Tensor:
        levels, x = [], image
        for index, stage in enumerate(self.encoder):
            x = stage(_halved(x) if index else x)
            levels.append(x)
        outputs = [x]
        for stage, level in zip(self.decoder, levels[-2::-1], strict=True):
            x = stage(torch.cat([_like(x, level), level], 1))
            outputs.append(x)
        pairs = zip(self.sides, outputs[::-1], strict=True)
        maps = [_like(side(output), image) for side, output in pairs]
        return torch.sigmoid(self.fuse(torch.cat(maps, 1)))


class ResidualU(nn.Module):
    """A U-Net as a block, around a shortcut: pools between its scales."""

    def __init__(self, depth: int, before: int, inside: int, after: int) -> None:
        super().__init__()
        self.first = _convolution(before, after)
        self.down = nn.ModuleList(
            _convolution(after if i == 0 else inside, inside) for i in range(depth - 1)
        )
        self.bottom = _convolution(inside, inside, 2)
        self.up = nn.ModuleList(
            _convolution(2 * inside, after if i == depth - 2 else inside) for i in range(depth - 1)
        )

    def forward(self, image: Tensor) -> Tensor:
        whole = x = self.first(image)
        levels = []
        for index, layer in enumerate(self.down):
            x = layer(_halved(x) if index else x)
            levels.append(x)
        x = self.bottom(x)
        for layer, level in zip(self.up, levels[::-1], strict=True):
            x = layer(torch.cat([_like(x, level), level], 1))
        return x + whole


class DilatedU(nn.Module):
    """The same without pooling: dilation makes up for it, where the map is small already."""

    def __init__(self, before: int, inside: int, after: int) -> None:
        super().__init__()
        self.first = _convolution(before, after)
        self.down = nn.ModuleList(
            _convolution(after if i == 0 else inside, inside, dilation)
            for i, dilation in enumerate(_DILATIONS)
        )
        self.up = nn.ModuleList(
            _convolution(2 * inside, after if dilation == 1 else inside, dilation)
            for dilation in _DILATIONS[-2::-1]
        )

    def forward(self, image: Tensor) -> Tensor:
        whole = x = self.first(image)
        levels = []
        for layer in self.down:
            x = layer(x)
            levels.append(x)
        for layer, level in zip(self.up, levels[-2::-1], strict=True):
            x = layer(torch.cat([x, level], 1))
        return x + whole


def _block(depth: int, before: int, inside: int, after: int) -> nn.Module:
    return ResidualU(depth, before, inside, after) if depth else DilatedU(before, inside, after)


def _convolution(before: int, after: int, dilation: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, padding=dilation, dilation=dilation),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    )


def _halved(x: Tensor) -> Tensor:
    return F.max_pool2d(x, 2, 2, ceil_mode=True)


def _like(x: Tensor, other: Tensor) -> Tensor:
    return F.interpolate(x, size=other.shape[2:], mode="bilinear", align_corners=False)

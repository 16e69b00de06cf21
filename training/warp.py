"""Geometry: where photos go on a canvas, as one affine map per photo.

A map is (a, b, c, d, e, f) from canvas to photo, x' = a x + b y + c and y' = d x + e y + f, in
pixels, with the corner of the first pixel at (0, 0).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from training.data import Photo

Affine = tuple[float, float, float, float, float, float]

_NO_EDGE = (-1e6, -1e6, 1e6, 1e6)  # what is read beyond the photo is 0
_MARGIN = 2  # px around what of a photo a canvas shows


@dataclass(frozen=True, slots=True)
class Placement:
    """How a point of the photo lands on the canvas."""

    anchor: tuple[float, float]  # (x, y) in the photo
    target: tuple[float, float]  # (x, y) on the canvas
    scale: float  # canvas pixels per photo pixel
    stretch: float = 1.0  # of x against y
    angle: float = 0.0  # radians
    flip: bool = False

    def affine(self) -> Affine:
        """The way back from canvas to photo: turned, then scaled, each undone."""
        across = 1 / (self.scale * math.sqrt(self.stretch) * (-1 if self.flip else 1))
        down = math.sqrt(self.stretch) / self.scale
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        a, b, d, e = cos * across, sin * across, -sin * down, cos * down
        (x, y), (left, top) = self.anchor, self.target
        return a, b, x - a * left - b * top, d, e, y - d * left - e * top


@dataclass(frozen=True, slots=True)
class Drawing:
    """A photo and its map to a canvas.

    Beyond its edges the photo repeats its last pixel (`border`) or is 0 in all channels.
    """

    photo: Photo
    affine: Affine
    border: bool


def warp(drawings: Sequence[Drawing], size: tuple[int, int]) -> Tensor:
    """Draw each photo on a canvas of its own of `size` (height, width): float32 [N, 5, H, W], 0-1.

    All are sampled at once, from one buffer as large as the largest cut: one by one, a GPU would
    wait for the CPU.
    """
    cuts = [_cut(drawing, size) for drawing in drawings]
    device = cuts[0][0].device
    height, width = (max(pixels.shape[axis] for pixels, _ in cuts) for axis in (1, 2))
    buffer = torch.zeros(len(cuts), 5, height, width, dtype=torch.uint8, device=device)
    edges = []
    for i, (pixels, _) in enumerate(cuts):
        h, w = pixels.shape[1:]
        buffer[i, :, :h, :w] = pixels
        edges.append((0.5, 0.5, w - 0.5, h - 0.5) if drawings[i].border else _NO_EDGE)
    maps = torch.tensor([affine for _, affine in cuts])
    x, y = _positions(maps.to(device), torch.tensor(edges).to(device), size)
    # In the units of grid_sample: -1 and 1 are the buffer's edges.
    grid = torch.stack([x * (2 / width) - 1, y * (2 / height) - 1], 3)
    return F.grid_sample(buffer.float() / 255, grid, mode="bilinear", align_corners=False)


def _cut(drawing: Drawing, size: tuple[int, int]) -> tuple[Tensor, Affine]:
    """What of the photo the canvas shows, at the level of its pyramid that suits, uint8 [5, H, W];
    and the map to it.
    """
    a, b, c, d, e, f = drawing.affine
    levels = drawing.photo.levels
    step = math.sqrt(abs(a * e - b * d))  # photo pixels per canvas pixel
    level = levels[min(max(0, round(math.log2(max(step, 1e-3)))), len(levels) - 1)]
    rows, columns = level.shape[1:]
    wide, high = (columns / levels[0].shape[2], rows / levels[0].shape[1])
    a, b, c, d, e, f = a * wide, b * wide, c * wide, d * high, e * high, f * high
    height, width = size
    left, right = _span(c, a * width, b * height, columns)
    top, bottom = _span(f, d * width, e * height, rows)
    return level[:, top:bottom, left:right], (a, b, c - left, d, e, f - top)


def _span(start: float, along: float, across: float, length: int) -> tuple[int, int]:
    """The range of pixels, of `length`, that a canvas from `start` along two sides covers."""
    low = start + min(along, 0) + min(across, 0)
    high = start + max(along, 0) + max(across, 0)
    first = min(max(0, math.floor(low) - _MARGIN), length - 1)
    return first, max(first + 1, min(length, math.ceil(high) + _MARGIN))


def _positions(maps: Tensor, edges: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Where each pixel of each canvas lies in its cut: x and y, each [N, H, W], within the edges
    (left, top, right, bottom).
    """
    a, b, c, d, e, f = maps[:, :, None, None].unbind(1)
    left, top, right, bottom = edges[:, :, None, None].unbind(1)
    x = torch.arange(size[1], device=maps.device) + 0.5
    y = torch.arange(size[0], device=maps.device)[:, None] + 0.5
    across, down = a * x + b * y + c, d * x + e * y + f
    return across.clamp(left, right), down.clamp(top, bottom)

"""Geometry: where a photo goes on a canvas, as one affine map per photo.

A map is a 3x3 float64 array from canvas to photo, in pixels, (x, y, 1), with the corner of the
first pixel at (0, 0).
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from training.data import Photo


@dataclass(frozen=True, slots=True)
class Placement:
    """How a point of the photo lands on the canvas."""

    anchor: tuple[float, float]  # (x, y) in the photo
    target: tuple[float, float]  # (x, y) on the canvas
    scale: float  # canvas pixels per photo pixel
    stretch: float = 1.0  # of x against y
    angle: float = 0.0  # radians
    flip: bool = False

    def matrix(self) -> np.ndarray:
        sx = self.scale * math.sqrt(self.stretch) * (-1 if self.flip else 1)
        sy = self.scale / math.sqrt(self.stretch)
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        linear = np.array([[cos * sx, -sin * sy], [sin * sx, cos * sy]])
        forward = np.eye(3)
        forward[:2, :2] = linear
        forward[:2, 2] = np.array(self.target) - linear @ np.array(self.anchor)
        return np.linalg.inv(forward)


def warp(photo: Photo, matrix: np.ndarray, size: tuple[int, int], *, border: bool) -> Tensor:
    """Draw a photo on a canvas of `size` (height, width): float32 [5, H, W], 0-1.

    Beyond its edges the photo repeats its last pixel (`border`) or is 0 in all channels.
    """
    step = math.sqrt(abs(np.linalg.det(matrix[:2, :2])))  # photo pixels per canvas pixel
    level = min(max(0, round(math.log2(max(step, 1e-3)))), len(photo.levels) - 1)
    pixels = photo.levels[level]
    shrunk = np.array(pixels.shape[:0:-1]) / np.array(photo.levels[0].shape[:0:-1])  # (x, y)
    matrix = np.diag([*shrunk, 1.0]) @ matrix
    height, width = size
    corners = matrix @ np.array([[0, width, 0, width], [0, 0, height, height], [1, 1, 1, 1]])
    pixels, origin = _cut(pixels, corners)
    matrix = np.array([[1, 0, -origin[0]], [0, 1, -origin[1]], [0, 0, 1]]) @ matrix
    from_canvas = np.array([[width / 2, 0, width / 2], [0, height / 2, height / 2], [0, 0, 1]])
    to_photo = np.array([[2 / pixels.shape[2], 0, -1], [0, 2 / pixels.shape[1], -1], [0, 0, 1]])
    theta = torch.from_numpy((to_photo @ matrix @ from_canvas)[None, :2]).float()
    grid = F.affine_grid(theta.to(pixels.device), [1, 1, height, width], align_corners=False)
    drawn = F.grid_sample(
        pixels[None].float() / 255,
        grid,
        mode="bilinear",
        padding_mode="border" if border else "zeros",
        align_corners=False,
    )
    return drawn[0]


def _cut(pixels: Tensor, corners: np.ndarray) -> tuple[Tensor, tuple[int, int]]:
    """Only the part of the photo that the canvas shows, and its origin (x, y): the rest of a large
    photo need not become floats.
    """
    margin = 2
    height, width = pixels.shape[1:]
    left = min(max(0, math.floor(corners[0].min()) - margin), width - 1)
    top = min(max(0, math.floor(corners[1].min()) - margin), height - 1)
    right = max(left + 1, min(width, math.ceil(corners[0].max()) + margin))
    bottom = max(top + 1, min(height, math.ceil(corners[1].max()) + margin))
    return pixels[:, top:bottom, left:right], (left, top)

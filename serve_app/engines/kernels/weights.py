"""Layers of kernels from those of PyTorch, with their weights as the kernels read them."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from serve_app.engines.kernels.dense import Dense
from serve_app.engines.kernels.depthwise import Depthwise, DepthwiseProject
from serve_app.engines.kernels.inputs import BlockStem, ViewStem
from serve_app.engines.kernels.outputs import AlphaHead
from serve_app.engines.kernels.pointwise import Pointwise
from serve_app.engines.kernels.shared import RELU6
from serve_app.engines.kernels.sums import MeanThrough
from serve_app.engines.kernels.tiles import (
    Tile,
    dense_tile,
    depthwise_project_tile,
    depthwise_tile,
    pointwise_tile,
    power_of_two,
    projects_at_once,
)
from serve_app.models.efficientnet_lite import EfficientNetLite, InvertedResidual


@dataclass(frozen=True, eq=False)
class Inverted:
    """`InvertedResidual` in one to three kernels."""

    expand: Pointwise | None
    depthwise: Depthwise | None  # in `project` if that is of both
    project: Pointwise | DepthwiseProject
    shortcut: bool

    def __call__(self, x: Tensor) -> Tensor:
        inner = x if self.expand is None else self.expand(x)
        if self.depthwise is not None:
            inner = self.depthwise(inner)
        return self.project(inner, x if self.shortcut else None)


def half(tensor: Tensor) -> Tensor:
    return tensor.detach().to(torch.float16).contiguous()


def single(tensor: Tensor) -> Tensor:
    return tensor.detach().to(torch.float32).contiguous()


def bias_of(layer: nn.Conv2d) -> Tensor:
    return single(torch.zeros(layer.out_channels) if layer.bias is None else layer.bias)


def matrix_of(layer: nn.Conv2d) -> Tensor:
    """[before, after] of a 1x1 convolution."""
    return layer.weight[:, :, 0, 0].T


def taps_of(layer: nn.Conv2d) -> Tensor:
    """[9, before, after] of a 3x3 convolution."""
    return layer.weight.permute(2, 3, 1, 0).reshape(9, layer.in_channels, layer.out_channels)


def inverted(block: InvertedResidual, scale: int, fused: bool | None = None) -> Inverted:
    """`scale`: of the block's input, in pixels of the view; `fused`: depthwise and project."""
    filtered = block.depthwise[0]
    kernel, stride = filtered.kernel_size[0], filtered.stride[0]
    taps = half(filtered.weight[:, 0].permute(1, 2, 0).reshape(kernel**2, -1))
    expand = None
    if not isinstance(block.expand, nn.Identity):
        expand = pointwise(block.expand[0], scale, RELU6)
    after = scale * stride
    if projects_at_once(after) if fused is None else fused:
        project = DepthwiseProject(
            taps,
            bias_of(filtered),
            kernel,
            stride,
            half(matrix_of(block.project)),
            bias_of(block.project),
            depthwise_project_tile(block.project.out_channels),
        )
        return Inverted(expand, None, project, block.shortcut)
    depthwise = Depthwise(taps, bias_of(filtered), kernel, stride, depthwise_tile(after))
    return Inverted(expand, depthwise, pointwise(block.project, after), block.shortcut)


def pointwise(layer: nn.Conv2d, scale: int, activation: int = 0) -> Pointwise:
    tile = pointwise_tile(layer.in_channels, layer.out_channels, scale)
    return Pointwise(half(matrix_of(layer)), bias_of(layer), tile, activation)


def lateral(layer: nn.Conv2d, scale: int) -> Pointwise:
    """A 1x1 convolution whose last channel is the hint."""
    matrix = matrix_of(layer)
    tile = pointwise_tile(layer.in_channels - 1, layer.out_channels, scale)
    return Pointwise(
        half(matrix[:-1]), bias_of(layer), tile, hint_weight=single(matrix[-1].clone())
    )


def scene(layer: nn.Conv2d, coarsest: nn.Conv2d) -> MeanThrough:
    """The scene and the bias of the lateral that it is added to."""
    return MeanThrough(single(matrix_of(layer).T), bias_of(layer) + bias_of(coarsest))


def dense(
    layer: nn.Conv2d, project: nn.Conv2d | None = None, head: nn.Conv2d | None = None
) -> Dense:
    return Dense(
        half(taps_of(layer)),
        bias_of(layer),
        layer.stride[0],
        dense_tile(layer.in_channels, layer.out_channels),
        None if project is None else half(matrix_of(project)),
        None if project is None else bias_of(project),
        None if head is None else single(matrix_of(head)[:, 0]),
        None if head is None else bias_of(head),
    )


def view_stem(layer: nn.Conv2d) -> ViewStem:
    """[after, 3, 3, 3] -> rows of 3 pixels with 4 channels each, the trimap's 0, filled up to 16."""
    after = layer.out_channels
    rows = torch.zeros(3, 16, after, device=layer.weight.device)
    lines = layer.weight.detach().permute(2, 3, 1, 0)  # [row, column, channel, after]
    rows[:, :12].view(3, 3, 4, after)[:, :, :3] = lines
    tile = Tile(8, 16, power_of_two(after))
    return ViewStem(half(rows.reshape(48, after)), bias_of(layer), tile)


def block_stem(layer: nn.Conv2d) -> BlockStem:
    """[after, 4 * 2 * 2, 3, 3] -> rows of 6 pixels' RGB, then of their trimaps, filled up to 32."""
    after = layer.out_channels
    # [after, channel, row and column in a block, the block's row and column]
    weight = layer.weight.detach().reshape(after, 4, 2, 2, 3, 3)
    pixels = weight.permute(4, 2, 5, 3, 1, 0).reshape(6, 6, 4, after)  # [row, column, channel, ...]
    rows = torch.zeros(6, 32, after, device=weight.device)
    rows[:, :18] = pixels[:, :, :3].reshape(6, 18, after)
    rows[:, 18:24] = pixels[:, :, 3]
    tile = Tile(8, 16, power_of_two(after))
    return BlockStem(half(rows.reshape(192, after)), bias_of(layer), tile)


def alpha_head(layer: nn.Conv2d, enlarge: Tensor) -> AlphaHead:
    """`enlarge`: [16, 1, 3, 3], as `bilinear_blocks` has it."""
    tile = Tile(8, 16, 16, power_of_two(layer.in_channels))
    filters = single(enlarge.reshape(16, 9).T)
    return AlphaHead(half(taps_of(layer)), bias_of(layer), filters, tile)


def encoder_blocks(encoder: EfficientNetLite) -> list[Inverted]:
    scale, blocks = 2, []
    for block in encoder.blocks:
        assert isinstance(block, InvertedResidual)
        blocks.append(inverted(block, scale))
        scale *= block.depthwise[0].stride[0]
    return blocks

"""Layers of kernels from those of PyTorch, with their weights as the kernels read them."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from serve_app.engines.kernels.dense import Dense
from serve_app.engines.kernels.depthwise import Depthwise
from serve_app.engines.kernels.expand_depthwise_project import ExpandDepthwiseProject
from serve_app.engines.kernels.outputs import AlphaHead
from serve_app.engines.kernels.pointwise import Pointwise
from serve_app.engines.kernels.shared import RELU6
from serve_app.engines.kernels.stems import BlockStem, ViewStem
from serve_app.engines.kernels.sums import MeanThrough
from serve_app.engines.kernels.tiles import (
    Tile,
    dense_tile,
    depthwise_tile,
    expand_depthwise_project_tile,
    in_one_kernel,
    lateral_tile,
    pointwise_tile,
    power_of_two,
)
from serve_app.models.efficientnet_lite import EfficientNetLite, InvertedResidual


@dataclass(frozen=True, eq=False)
class Inverted:
    """`InvertedResidual` in one kernel, or in one for each of its convolutions."""

    expand: Pointwise | None
    depthwise: Depthwise | None  # in `project`, as `expand` is, if that is all of them
    project: Pointwise | ExpandDepthwiseProject
    shortcut: bool

    def __call__(self, x: Tensor) -> Tensor:
        inner = x if self.expand is None else self.expand(x)
        if self.depthwise is not None:
            inner = self.depthwise(inner)
        return self.project(inner, x if self.shortcut else None)


def convolution(part: nn.Module) -> nn.Conv2d:
    """A convolution itself, or the one that a sequence begins with."""
    layer = part[0] if isinstance(part, nn.Sequential) else part
    if not isinstance(layer, nn.Conv2d):
        raise TypeError(f"a convolution is needed, not {type(layer).__name__}")
    return layer


def half(tensor: Tensor) -> Tensor:
    return tensor.detach().to(torch.float16).contiguous()


def single(tensor: Tensor) -> Tensor:
    return tensor.detach().to(torch.float32).contiguous()


def bias_of(layer: nn.Conv2d) -> Tensor:
    bias = layer.weight.new_zeros(layer.out_channels) if layer.bias is None else layer.bias
    return single(bias)


def matrix_of(layer: nn.Conv2d) -> Tensor:
    """[before, after] of a 1x1 convolution."""
    return layer.weight[:, :, 0, 0].T


def taps_of(layer: nn.Conv2d) -> Tensor:
    """[9, before, after] of a 3x3 convolution."""
    return layer.weight.permute(2, 3, 1, 0).reshape(9, layer.in_channels, layer.out_channels)


def encoder_blocks(encoder: EfficientNetLite) -> list[Inverted]:
    scale, blocks = 2, []
    for block in encoder.blocks:
        if isinstance(block, InvertedResidual):
            blocks.append(inverted(block, scale))
            scale *= convolution(block.depthwise).stride[0]
    return blocks


def inverted(block: InvertedResidual, scale: int, in_one: bool | None = None) -> Inverted:
    """`scale`: pixels of the view in one of the block's input, along a side; `in_one`: whether a
    block that widens its channels is one kernel, None for what `in_one_kernel` says.
    """
    filters, project = convolution(block.depthwise), convolution(block.project)
    kernel, stride = filters.kernel_size[0], filters.stride[0]
    taps = half(filters.weight[:, 0].permute(1, 2, 0).reshape(kernel**2, -1))
    after = scale * stride
    expand = None
    if not isinstance(block.expand, nn.Identity):
        expand = pointwise(block.expand, scale, RELU6)
        if in_one or (in_one is None and in_one_kernel(after, expand.weight.shape[0])):
            whole = ExpandDepthwiseProject(
                expand.weight,
                expand.bias,
                taps,
                bias_of(filters),
                kernel,
                stride,
                half(matrix_of(project)),
                bias_of(project),
                expand_depthwise_project_tile(project.out_channels),
            )
            return Inverted(None, None, whole, block.shortcut)
    depthwise = Depthwise(taps, bias_of(filters), kernel, stride, depthwise_tile(after, stride))
    return Inverted(expand, depthwise, pointwise(project, after), block.shortcut)


def pointwise(part: nn.Module, scale: int, activation: int = 0) -> Pointwise:
    layer = convolution(part)
    tile = pointwise_tile(layer.in_channels, layer.out_channels, scale)
    return Pointwise(half(matrix_of(layer)), bias_of(layer), tile, activation)


def lateral(part: nn.Module, scale: int) -> Pointwise:
    """A 1x1 convolution whose last channel is the hint."""
    layer = convolution(part)
    matrix = matrix_of(layer)
    tile = lateral_tile(layer.in_channels - 1, layer.out_channels, scale)
    hint_weight = single(matrix[-1].clone())
    return Pointwise(half(matrix[:-1]), bias_of(layer), tile, hint_weight=hint_weight)


def scene(layer: nn.Conv2d, coarsest: nn.Module) -> MeanThrough:
    """The scene and the bias of the lateral that it is added to."""
    bias = bias_of(layer) + bias_of(convolution(coarsest))
    return MeanThrough(single(matrix_of(layer).T), bias)


def dense(part: nn.Module, head: nn.Conv2d | None = None) -> Dense:
    layer = convolution(part)
    return Dense(
        half(taps_of(layer)),
        bias_of(layer),
        layer.stride[0],
        dense_tile(layer.in_channels, layer.out_channels),
        None if head is None else single(matrix_of(head)[:, 0]),
        None if head is None else bias_of(head),
    )


def view_stem(part: nn.Module) -> ViewStem:
    """[after, 3, 3, 3] -> rows of 3 pixels of 4 channels, the trimap's 0, filled up to 16."""
    layer = convolution(part)
    after = layer.out_channels
    rows = torch.zeros(3, 16, after, device=layer.weight.device)
    lines = layer.weight.detach().permute(2, 3, 1, 0)  # [row, column, channel, after]
    rows[:, :12].view(3, 3, 4, after)[:, :, :3] = lines
    tile = Tile(8, 16, power_of_two(after))
    return ViewStem(half(rows.reshape(48, after)), bias_of(layer), tile)


def block_stem(part: nn.Module) -> BlockStem:
    """[after, 4 * 2 * 2, 3, 3] -> rows of 6 pixels' RGB, then of their trimaps, filled up to 32."""
    layer = convolution(part)
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

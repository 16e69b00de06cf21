"""What each layer has to answer: the same in PyTorch's operations, in FP32."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.kernels.device import DEVICE
from serve_app.engines.kernels.dense import Dense
from serve_app.engines.kernels.depthwise import Depthwise
from serve_app.engines.kernels.expand_depthwise_project import ExpandDepthwiseProject
from serve_app.engines.kernels.outputs import AlphaHead
from serve_app.engines.kernels.pointwise import Pointwise
from serve_app.engines.kernels.stems import BlockStem, ViewStem
from serve_app.engines.kernels.sums import MeanThrough
from serve_app.models.unet import UNetMatting, shrink_to, stretched_sigmoid


def channels_first(x: Tensor) -> Tensor:
    return x.float().permute(0, 3, 1, 2)


def channels_last(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1).contiguous().half()


def resized(x: Tensor, size: Any) -> Tensor:
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=False)


def reference_pointwise(
    layer: Pointwise,
    x: Tensor,
    residual: Tensor | None = None,
    hint: Tensor | None = None,
    coarse: Tensor | None = None,
    image_bias: Tensor | None = None,
) -> Tensor:
    y = x.float() @ layer.weight.float()
    y = y + (layer.bias if image_bias is None else image_bias[:, None, None])
    if hint is not None and layer.hint_weight is not None:
        y = y + hint[..., None].float() * layer.hint_weight
    y = (y, y.relu(), y.clamp(0, 6))[layer.activation]
    y = y if residual is None else y + residual.float()
    if coarse is not None:
        y = y + resized(channels_first(coarse), y.shape[1:3]).permute(0, 2, 3, 1)
    return y.half()


def reference_depthwise(layer: Depthwise | ExpandDepthwiseProject, x: Tensor) -> Tensor:
    channels, side = x.shape[3], layer.kernel
    weight = layer.weight.float().T.reshape(channels, 1, side, side).contiguous()
    y = F.conv2d(channels_first(x), weight, layer.bias, layer.stride, side // 2, groups=channels)
    return channels_last(y.clamp(0, 6))


def reference_whole(
    layer: ExpandDepthwiseProject, x: Tensor, residual: Tensor | None = None
) -> Tensor:
    x = (x.float() @ layer.expand.float() + layer.expand_bias).clamp(0, 6)
    y = reference_depthwise(layer, x).float() @ layer.project.float() + layer.project_bias
    return (y if residual is None else y + residual.float()).half()


def taps(weight: Tensor) -> Tensor:
    side = 3
    return weight.float().reshape(side, side, *weight.shape[1:]).permute(3, 2, 0, 1).contiguous()


def reference_dense(layer: Dense, x: Tensor) -> tuple[Tensor, Tensor]:
    y = F.conv2d(channels_first(x), taps(layer.weight), layer.bias, layer.stride, 1).relu()
    y = y.permute(0, 2, 3, 1)
    logits = None
    if layer.head is not None and layer.head_bias is not None:
        logits = y @ layer.head + layer.head_bias
    out = y.contiguous().half()
    return out, out if logits is None else logits


def reference_view_stem(layer: ViewStem, view: Tensor) -> Tensor:
    rows = layer.weight.float().view(3, 16, -1)[:, :12].reshape(3, 3, 4, -1)
    return channels_last(
        F.conv2d(channels_first(view), rows.permute(3, 2, 0, 1), layer.bias, 2, 1).clamp(0, 6)
    )


def reference_block_stem(layer: BlockStem, rgb: Tensor, trimap: Tensor, coarse: Tensor) -> Tensor:
    rows = layer.weight.float().view(6, 32, -1)
    colour = rows[:, :18].reshape(6, 6, 3, -1)
    weight = torch.cat([colour, rows[:, 18:24].reshape(6, 6, 1, -1)], 2).permute(3, 2, 0, 1)
    y = F.conv2d(UNetMatting().to(DEVICE).image(rgb, trimap), weight, layer.bias, 4, 2).relu()
    return channels_last(y + resized(channels_first(coarse), y.shape[2:]))


def reference_alpha(layer: AlphaHead, x: Tensor, coarse: Tensor) -> Tensor:
    enlarged = F.pad(resized(coarse[:, None], x.shape[1:3]), (1, 1, 1, 1), mode="replicate")
    logits = F.conv2d(channels_first(x), taps(layer.weight), layer.bias, 1, 1)
    logits = logits + F.conv2d(enlarged, layer.enlarge.T.reshape(16, 1, 3, 3).contiguous())
    alpha = (stretched_sigmoid(logits).clamp(0, 1) * 255).round().to(torch.uint8)
    return F.pixel_shuffle(alpha, 4)[:, 0]


def reference_mean(layer: MeanThrough, x: Tensor) -> Tensor:
    return x.float().mean((1, 2)) @ layer.weight.T + layer.bias


def reference_view(rgb: Tensor, trimap: Tensor, _: int, size: tuple[int, int]) -> Tensor:
    side = max(size)
    return channels_last(shrink_to(UNetMatting().to(DEVICE).image(rgb, trimap), side))


def reference_hints(view: Tensor) -> list[Tensor]:
    levels, hint = [], view[..., 3].float()[:, None]
    for step in (4, 2, 2, 2):
        hint = resized(hint, (hint.shape[2] // step, hint.shape[3] // step))
        levels.append(hint[:, 0].half())
    return levels


def reference_sum(x: Tensor, coarse: Tensor) -> Tensor:
    return channels_last(channels_first(x) + resized(channels_first(coarse), x.shape[1:3]))


REFERENCES: dict[type, Callable[..., Any]] = {
    Pointwise: reference_pointwise,
    Depthwise: reference_depthwise,
    ExpandDepthwiseProject: reference_whole,
    Dense: reference_dense,
    ViewStem: reference_view_stem,
    BlockStem: reference_block_stem,
    AlphaHead: reference_alpha,
    MeanThrough: reference_mean,
}
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "view_of": reference_view,
    "hints_of": reference_hints,
    "add_resized": reference_sum,
}

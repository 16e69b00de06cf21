"""EfficientNet-Lite, the encoder of the context branch.

A chain of inverted residuals (Sandler et al., CVPR 2018) in the proportions of EfficientNet (Tan &
Le, ICML 2019), without squeeze-and-excitation and with ReLU6, which makes it quick and easy to
quantize on CPUs. Two things differ from the published network, and neither keeps its weights from
fitting: convolutions pad evenly on both sides, which only moves the grid that is sampled, and batch
norms are folded into the convolutions before them.
"""

import math
from dataclasses import dataclass

from torch import Tensor, nn

_STEM_WIDTH = 32


@dataclass(frozen=True, slots=True)
class Stage:
    """Blocks of one width; the first has the stride."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    width: int


# Table 1 of the paper, stages 2 to 8.
_STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)


class EfficientNetLite(nn.Module):
    """Features of an image at strides 2, 4, 8, 16 and 32; `widths` has their channels."""

    def __init__(self, width: float = 1.0, depth: float = 1.0) -> None:
        """`width` and `depth` scale the channels and repeats: 1.0 and 1.0 make Lite0, 1.0 and 1.1
        Lite1, 1.1 and 1.2 Lite2. The stem and the first and last stage keep their repeats.
        """
        super().__init__()
        stages = scaled_stages(width, depth)
        self.stem = conv_relu6(3, _STEM_WIDTH, 3, 2)
        self.blocks = nn.ModuleList()
        before = _STEM_WIDTH
        for stage in stages:
            for i in range(stage.repeats):
                stride = stage.stride if i == 0 else 1
                self.blocks.append(
                    InvertedResidual(before, stage.width, stage.kernel, stride, stage.expansion)
                )
                before = stage.width
        self._ends = level_ends(stages)
        self.widths = tuple(stage.width for stage in last_of_each_stride(stages))

    def forward(self, image: Tensor) -> list[Tensor]:
        """RGB [N, 3, H, W], about -1..1 -> one [N, width, H/stride, W/stride] for each stride."""
        x, levels = self.stem(image), []
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i in self._ends:
                levels.append(x)
        return levels


class InvertedResidual(nn.Module):
    """Widen, filter each channel by itself, narrow; a shortcut where the shape allows it."""

    def __init__(self, before: int, after: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = before * expansion
        self.expand = conv_relu6(before, inner, 1) if expansion > 1 else nn.Identity()
        self.depthwise = conv_relu6(inner, inner, kernel, stride, groups=inner)
        self.project = nn.Conv2d(inner, after, 1)
        self.shortcut = stride == 1 and before == after

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + y if self.shortcut else y


def conv_relu6(
    before: int, after: int, kernel: int, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, kernel, stride, kernel // 2, groups=groups),
        nn.ReLU6(inplace=True),
    )


def scaled_stages(width: float, depth: float) -> list[Stage]:
    """The stages with their channels and repeats scaled."""
    ends = (0, len(_STAGES) - 1)
    return [
        Stage(
            stage.repeats if i in ends else math.ceil(stage.repeats * depth),
            stage.kernel,
            stage.stride,
            stage.expansion,
            round_width(stage.width * width),
        )
        for i, stage in enumerate(_STAGES)
    ]


def round_width(width: float) -> int:
    """To a multiple of 8, but never more than a tenth down."""
    rounded = max(8, int(width + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * width else rounded


def last_of_each_stride(stages: list[Stage]) -> list[Stage]:
    """The stages after which the resolution falls, and the last."""
    following = [stage.stride for stage in stages[1:]] + [2]
    return [stage for stage, stride in zip(stages, following, strict=True) if stride == 2]


def level_ends(stages: list[Stage]) -> frozenset[int]:
    """The index of the last block of each resolution."""
    kept, ends, blocks = last_of_each_stride(stages), [], 0
    for stage in stages:
        blocks += stage.repeats
        if stage in kept:
            ends.append(blocks - 1)
    return frozenset(ends)

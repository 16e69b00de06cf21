"""The matting network: a coarse view of the whole image beside a fine view of its pixels.

The *context* branch looks at the whole image at a few hundred pixels, where deciding what the
subject is costs little, and always sees subjects at a similar scale however large the input. The
*detail* branch works on pixel-unshuffled blocks of the full input (Shi et al., CVPR 2016) and only
has to place the edge. Both follow the U-Net shape (Ronneberger et al., MICCAI 2015): strided
encoder, skip connections, light decoder.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from serve_app.models.efficientnet_lite import EfficientNetLite

STRIDE = 32
"""Height and width of an input must be multiples of this many pixels."""

_BLOCK = 4  # pixels per side of a pixel-unshuffled block: the detail branch's resolution
_ALPHA_STRETCH = 1.04  # lets a sigmoid reach exactly 0 and 1, so solid areas are truly solid

# Bytes to about -1..1, as the encoder's published weights expect; a trimap's unknown is 0.
_MEAN = (127.0, 127.0, 127.0, 128.0)
_STD = 128.0


@dataclass(frozen=True, slots=True)
class UNetConfig:
    """Everything needed to build the network; stored in each checkpoint."""

    in_channels: int = 4
    out_channels: int = 1
    context_side: int = 512  # px; longest side of the context branch's view, a multiple of STRIDE
    encoder_width: float = 1.0  # of EfficientNet-Lite
    encoder_depth: float = 1.0
    decoder_width: int = 64
    detail_width: int = 32

    def __post_init__(self) -> None:
        if self.in_channels != 4 or self.out_channels != 1:
            raise ValueError(
                "UNetMatting reads RGB and a trimap (in_channels=4) and gives one alpha "
                f"(out_channels=1), not in_channels={self.in_channels} and "
                f"out_channels={self.out_channels}"
            )


class UNetMatting(nn.Module):
    """RGB and trimap in, alpha out; bytes at both ends.

    `forward` is the whole serving contract: it owns its normalisation, so nothing outside needs
    to know it. Training uses `logits`, which is differentiable.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, in_channels: int = 4, out_channels: int = 1, **options: object) -> None:
        super().__init__()
        config = UNetConfig(in_channels, out_channels, **options)  # type: ignore[arg-type]
        self.config = config
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 4, 1, 1))
        self.register_buffer("std", torch.tensor([_STD] * 4).view(1, 4, 1, 1))
        self.context = ContextBranch(config)
        self.detail = DetailBranch(config)

    def forward(self, rgb: Tensor, trimap: Tensor) -> Tensor:
        """Predict the alpha of a batch.

        Args:
            rgb: uint8 [N, H, W, 3], sRGB 0-255; H and W multiples of `STRIDE`.
            trimap: uint8 [N, H, W]; 0 background, 255 foreground, 128 unknown.

        Returns:
            uint8 [N, H, W], 0-255.
        """
        image = self.image(rgb, trimap)
        view = shrink_to(image, self.config.context_side)
        return self.alpha(to_blocks(image), view).to(torch.uint8)

    def alpha(self, blocks: Tensor, view: Tensor) -> Tensor:
        """Predict from `to_blocks` of the image and the context branch's view of it [N, 4, h, w],
        both normalised: float32 [N, H, W], whole numbers 0-255.
        """
        logits, _ = self._logits(blocks, view)
        alpha = (stretched_sigmoid(logits.float()).clamp(0, 1) * 255).round()
        return F.pixel_shuffle(alpha, _BLOCK).squeeze(1)

    def logits(self, rgb: Tensor, trimap: Tensor) -> tuple[Tensor, Tensor]:
        """Give the logits of the alpha, full size [N, 1, H, W], and of the context branch.

        The second is [N, 1, h, w] at a quarter of the context view, for supervision.
        """
        image = self.image(rgb, trimap)
        view = shrink_to(image, self.config.context_side)
        fine, coarse = self._logits(to_blocks(image), view)
        return F.pixel_shuffle(fine, _BLOCK), coarse

    def image(self, rgb: Tensor, trimap: Tensor) -> Tensor:
        """Bytes to one normalised image [N, 4, H, W]."""
        planes = rgb.permute(0, 3, 1, 2), trimap.unsqueeze(1)
        return self.normalise(torch.cat([plane.to(self.mean.dtype) for plane in planes], 1))

    def normalise(self, image: Tensor) -> Tensor:
        """0-255 to about -1..1."""
        return (image - self.mean) / self.std

    def _logits(self, blocks: Tensor, view: Tensor) -> tuple[Tensor, Tensor]:
        features, coarse = self.context(view)
        return self.detail(blocks, features, coarse), coarse


class ContextBranch(nn.Module):
    """A U-Net over a small view of the whole image: what and where is the subject?"""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        width = config.decoder_width
        self.encoder = EfficientNetLite(config.encoder_width, config.encoder_depth)
        widths = self.encoder.widths[1:]  # the finest level costs most and says least
        self.scene = nn.Conv2d(widths[-1], width, 1)  # the image as one vector
        self.laterals = nn.ModuleList(nn.Conv2d(w + 1, width, 1) for w in widths)
        self.merges = nn.ModuleList(conv_norm_relu(width, width) for _ in widths[1:])
        self.features = conv_norm_relu(width, config.detail_width)
        self.head = nn.Conv2d(width, 1, 1)

    def forward(self, view: Tensor) -> tuple[Tensor, Tensor]:
        """[N, 4, h, w] -> features [N, detail_width, h/4, w/4] and logits [N, 1, h/4, w/4]."""
        levels = self.encoder(view[:, :3])[1:]
        scene = self.scene(levels[-1].mean((2, 3), keepdim=True))
        hinted = with_hints(levels, view[:, 3:])
        x = self.laterals[-1](hinted[-1]) + scene
        finer = zip(self.laterals[-2::-1], hinted[-2::-1], self.merges, strict=True)
        for lateral, level, merge in finer:
            x = merge(resize(x, level) + lateral(level))
        return self.features(x), self.head(x)


class DetailBranch(nn.Module):
    """Places the edge: every pixel of the input, as blocks, guided by the context."""

    enlarge: Tensor

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        width = config.detail_width
        deep = width * 2
        half = config.in_channels * (_BLOCK // 2) ** 2
        self.stem = conv_norm_relu(half, width, stride=2)
        self.fuse = conv_norm_relu(width, width)
        self.down = nn.Sequential(conv_norm_relu(width, deep, 2), conv_norm_relu(deep, deep))
        self.up = nn.Conv2d(deep, width, 1)
        self.merge = conv_norm_relu(width, width)
        self.head = nn.Conv2d(width, _BLOCK**2, 3, padding=1)
        self.register_buffer("enlarge", bilinear_blocks(_BLOCK), persistent=False)

    def forward(self, blocks: Tensor, features: Tensor, coarse: Tensor) -> Tensor:
        """[N, 16, H/2, W/2] and what the context branch gave -> logits [N, 16, H/4, W/4]: those of
        a block's pixels are channels, for `pixel_shuffle` to lay out.
        """
        fine = self.stem(blocks)  # [N, width, H/4, W/4]
        x = self.fuse(fine + resize(features, fine))
        x = self.merge(x + resize(self.up(self.down(x)), x))
        # The context's logits, enlarged to pixels, where they are few and before the shuffle.
        coarse = F.pad(resize(coarse, fine), (1, 1, 1, 1), mode="replicate")
        correction: Tensor = self.head(x)
        return correction + F.conv2d(coarse, self.enlarge)


def conv_norm_relu(before: int, after: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    )


def to_blocks(image: Tensor) -> Tensor:
    """[N, 4, H, W] -> [N, 16, H/2, W/2]: the pixels of a block, channel by channel."""
    return F.pixel_unshuffle(image, _BLOCK // 2)


def resize(x: Tensor, like: Tensor) -> Tensor:
    """Bilinear to the height and width of `like`."""
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)


def bilinear_blocks(side: int) -> Tensor:
    """Filters [side * side, 1, 3, 3] that enlarge an image bilinearly: each gives one pixel of the
    block that an input pixel becomes.
    """
    offset = (torch.arange(side) + 0.5) / side - 0.5  # of a block's pixels from its middle
    line = torch.stack([(-offset).clamp(min=0), 1 - offset.abs(), offset.clamp(min=0)], 1)
    return torch.einsum("ia,jb->ijab", line, line).reshape(side * side, 1, 3, 3)


def shrink_to(image: Tensor, side: int) -> Tensor:
    """Scale [N, C, H, W] down to `view_size`: by means of 2, 4, 8... pixels, which nearly always is
    all of the way, then bilinearly.
    """
    size = image.shape[-2:]
    view = view_size((size[0], size[1]), side)
    factor = shrink_factor((size[0], size[1]), side)
    if factor > 1:
        image = F.avg_pool2d(image, factor)
    if image.shape[-2:] == view:
        return image
    return F.interpolate(image, size=view, mode="bilinear", align_corners=False)


def shrink_factor(size: tuple[int, int], side: int) -> int:
    """Of how many pixels along a side the means are that `shrink_to` begins with."""
    factor = 1
    while max(size) >= 2 * side * factor:
        factor *= 2
    return factor


def view_size(size: tuple[int, int], side: int) -> tuple[int, int]:
    """The context branch's view of an image of `size`: `side` px at its longest side if that is
    more, the other one a multiple of `STRIDE`.
    """
    longest = max(size)
    if longest <= side:
        return size
    rows, columns = (
        max(1, (2 * length * side + STRIDE * longest) // (2 * STRIDE * longest)) * STRIDE
        for length in size
    )
    return rows, columns


def with_hints(levels: list[Tensor], trimap: Tensor) -> list[Tensor]:
    """Add the trimap, scaled down, to each level as one more channel: what the user knows meets
    what the encoder sees, and the encoder stays one of plain photographs.
    """
    hinted = []
    for level in levels:
        trimap = resize(trimap, level)
        hinted.append(torch.cat([level, trimap], 1))
    return hinted


def stretched_sigmoid(logits: Tensor) -> Tensor:
    """A sigmoid stretched to [-0.02, 1.02]; clamp it to get alpha. Losses use it unclamped."""
    return torch.sigmoid(logits) * _ALPHA_STRETCH - (_ALPHA_STRETCH - 1) / 2

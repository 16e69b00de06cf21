"""What a camera does to a picture: light, colour, blur, noise, JPEG. Batched, on CPU and GPU alike.

Images are float32 [N, 3, H, W], sRGB, 0-1. None of these moves a pixel, so alphas stay aligned.
Every draw comes from one CPU generator, which makes a run repeatable and its state one tensor.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

_LUMA = (0.299, 0.587, 0.114)

# Quantisation tables of the JPEG standard, annex K (ITU-T T.81).
_JPEG_LUMA = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_JPEG_CHROMA = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99, 99, 99, 99, 99, 99, 99, 99),) * 4,
)
_TO_YCC = (
    (0.299, 0.587, 0.114),
    (-0.168736, -0.331264, 0.5),
    (0.5, -0.418688, -0.081312),
)


def uniform(low: float, high: float, shape: Tensor, rng: torch.Generator) -> Tensor:
    """[N, 1, 1, 1] on the device of `shape`, whose first dimension is N."""
    drawn = torch.rand(len(shape), 1, 1, 1, generator=rng) * (high - low) + low
    return drawn.to(shape.device)


def sometimes(
    share: float, step: Callable[[Tensor], Tensor], image: Tensor, rng: torch.Generator
) -> Tensor:
    """Let the step change a share of the batch, drawn anew each time."""
    chosen = (torch.rand(len(image), generator=rng) < share).nonzero().flatten()
    if not len(chosen):
        return image
    chosen = chosen.to(image.device)
    return image.index_copy(0, chosen, step(image[chosen]))


def light(image: Tensor, strength: float, rng: torch.Generator) -> Tensor:
    """Exposure, white balance, contrast, saturation and gamma, each within `strength`."""
    n = len(image)
    balance = torch.randn(n, 3, 1, 1, generator=rng).to(image.device) * strength * 0.25
    image = image * torch.exp(uniform(-strength, strength, image, rng) + balance)
    mean = image.mean((1, 2, 3), keepdim=True)
    image = mean + (image - mean) * torch.exp(uniform(-strength, strength, image, rng))
    grey = luma(image)
    image = grey + (image - grey) * torch.exp(uniform(-2 * strength, strength, image, rng))
    return image.clamp(0, 1) ** torch.exp(uniform(-strength, strength, image, rng))


def luma(image: Tensor) -> Tensor:
    weights = torch.tensor(_LUMA, device=image.device).view(1, 3, 1, 1)
    return (image * weights).sum(1, keepdim=True)


def blur(image: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian with one sigma (pixels, [N, 1, 1, 1]) per image; any number of channels.

    As two products of matrices, so that no GPU library prepares a convolution of a new shape for
    nearly every batch; on a CPU they take 1.7 times as long as one.
    """
    rows, columns = (gaussian(side, sigma) for side in image.shape[-2:])
    return rows @ image @ columns.transpose(2, 3)


def gaussian(side: int, sigma: Tensor) -> Tensor:
    """[N, 1, side, side]: what each pixel of a line takes from each, the edge's repeated beyond."""
    x = torch.arange(side, device=sigma.device, dtype=torch.float32)
    ends = torch.linspace(-0.5, side - 0.5, side + 1, device=sigma.device)
    ends[0], ends[-1] = -torch.inf, torch.inf
    below = torch.special.ndtr((ends - x[:, None]) / sigma.clamp(min=0.05))
    return below.diff(dim=3)


def noise(image: Tensor, rng: torch.Generator) -> Tensor:
    """Sensor noise: fine grain on each pixel, up to 6 % of the range."""
    seed = int(torch.randint(2**62, (1,), generator=rng))
    on_device = torch.Generator(image.device).manual_seed(seed)
    grain = torch.randn(image.shape, generator=on_device, device=image.device)
    return (image + grain * uniform(0, 0.06, image, rng)).clamp(0, 1)


def coarsen(image: Tensor, rng: torch.Generator) -> Tensor:
    """Enlarged from a smaller picture, as much of the web is."""
    factor = float(torch.rand(1, generator=rng)) * 1.5 + 1.3
    small = F.interpolate(image, scale_factor=1 / factor, mode="area", recompute_scale_factor=False)
    return F.interpolate(small, size=image.shape[-2:], mode="bilinear", align_corners=False)


def jpeg(image: Tensor, quality: Tensor) -> Tensor:
    """The loss of JPEG compression: 8x8 cosine blocks, rounded as `quality` (1-100) tells.

    `quality` is [N, 1, 1, 1]; height and width are multiples of 8.
    """
    n, _, h, w = image.shape
    device = image.device
    to_ycc = torch.tensor(_TO_YCC, device=device)
    cosines = cosine_basis(device)
    tables = torch.tensor([_JPEG_LUMA, _JPEG_CHROMA, _JPEG_CHROMA], device=device).float()
    scale = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality).floor()
    steps = ((tables * scale + 50) / 100).floor().clamp(1, 255).view(n, 3, 1, 1, 8, 8)
    ycc = torch.einsum("dc,nchw->ndhw", to_ycc, image * 255 - 128)
    blocks = ycc.view(n, 3, h // 8, 8, w // 8, 8).transpose(3, 4)  # [N, 3, H/8, W/8, 8, 8]
    coefficients = cosines @ blocks @ cosines.T
    rounded = (coefficients / steps).round() * steps
    ycc = (cosines.T @ rounded @ cosines).transpose(3, 4).reshape(n, 3, h, w)
    to_rgb = torch.linalg.inv(torch.tensor(_TO_YCC)).to(device)
    rgb = torch.einsum("dc,nchw->ndhw", to_rgb, ycc)
    return ((rgb + 128) / 255).clamp(0, 1)


def cosine_basis(device: torch.device) -> Tensor:
    """The orthonormal 8-point DCT-II as a matrix."""
    k, x = torch.arange(8, device=device).view(8, 1), torch.arange(8, device=device)
    basis = torch.cos(math.pi * (2 * x + 1) * k / 16) / 2
    return torch.cat([basis[:1] / math.sqrt(2), basis[1:]])


def shadow(background: Tensor, alpha: Tensor, share: float, rng: torch.Generator) -> Tensor:
    """Darken the background beside and under the subject, softly, in a share of the batch."""
    h, w = alpha.shape[-2:]
    small = F.avg_pool2d(alpha, 8)
    reach = max(1, max(h, w) // 32)
    dy, dx = (int(torch.randint(-reach, reach + 1, (1,), generator=rng)) for _ in range(2))
    small = torch.roll(small, (abs(dy), dx), (2, 3))
    soft = blur(small, uniform(0.5, 2.0, alpha, rng))
    soft = F.interpolate(soft, size=(h, w), mode="bilinear", align_corners=False)
    cast = (uniform(0, 1, alpha, rng) < share) * uniform(0.15, 0.6, alpha, rng)
    return background * (1 - soft * cast)


def photograph(image: Tensor, rng: torch.Generator) -> Tensor:
    """All that happens to a finished picture, each step to some of the batch."""
    image = sometimes(0.8, lambda x: light(x, 0.25, rng), image, rng)
    image = sometimes(0.06, lambda x: luma(x).expand_as(x), image, rng)
    image = sometimes(0.15, lambda x: blur(x, uniform(0.3, 1.2, x, rng)), image, rng)
    image = sometimes(0.08, lambda x: coarsen(x, rng), image, rng)
    image = sometimes(0.3, lambda x: noise(x, rng), image, rng)
    return sometimes(0.3, lambda x: jpeg(x, uniform(25, 95, x, rng)), image, rng)

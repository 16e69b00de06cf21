"""The fourth channel: most of the time nothing is known, now and then a little or a lot.

Trimaps are float32 [N, 1, H, W]: 0 background, 1 foreground, `UNKNOWN` where the network decides.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

UNKNOWN = 128 / 255

_STROKES = 0.25  # share of trimaps that are a few strokes
_NARROW = 2  # px either side, of the tightest band


def draw_trimaps(
    alpha: Tensor, trusted: Tensor, share: float, rng: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Trimaps for `share` of the batch and nothing known for the rest; the mask of what they say,
    which the alpha has to honour; and the mask of the band that a good one leaves open, both bool
    [N, 1, H, W].
    """
    trimap = torch.full_like(alpha, UNKNOWN)
    known, band = (torch.zeros_like(alpha, dtype=torch.bool) for _ in range(2))
    chosen = (torch.rand(len(alpha), generator=rng) < share).nonzero().flatten().to(alpha.device)
    if len(chosen):
        said, whole = say(alpha[chosen], rng)
        known[chosen] = said & (trusted[chosen] > 0.99)
        band[chosen] = ~known[chosen] & whole
    return torch.where(known, (alpha > 0.5).float(), trimap), known, band


def say(alpha: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Give bool [N, 1, H, W], where trimaps say something; and [N, 1, 1, 1], whether all around.

    Most are as people draw them: a band that holds all that is soft, here narrow and there wide.
    The rest are a few strokes. A batch shares two widths: each alone, a GPU would wait for the CPU.
    """
    narrow, wide = sorted(reach(alpha, rng) for _ in range(2))
    known = away_from_edge(alpha, wide)
    known = known | (away_from_edge(alpha, narrow) & blobs(alpha, rng, 0.5))
    strokes = (torch.rand(len(alpha), 1, 1, 1, generator=rng) < _STROKES).to(alpha.device)
    return known & (blobs(alpha, rng, 0.85) | ~strokes), ~strokes


def reach(alpha: Tensor, rng: torch.Generator) -> int:
    """Pixels either side of what is soft, from `_NARROW` to a sixteenth of the picture's side; as
    often half as wide as twice as wide.
    """
    low, high = math.log(_NARROW), math.log(max(alpha.shape[-2:]) / 16 + _NARROW)
    return round(math.exp(low + (high - low) * float(torch.rand(1, generator=rng))))


def away_from_edge(alpha: Tensor, reach: int) -> Tensor:
    """bool: all of the alpha within `reach` pixels is 0, or all of it is 1."""
    return (largest(alpha, reach) < 0.02) | (largest(1 - alpha, reach) < 0.02)


def largest(x: Tensor, reach: int) -> Tensor:
    """The maximum over a square, one direction after the other."""
    side = 2 * reach + 1
    rows = F.max_pool2d(x, (side, 1), 1, (reach, 0))
    return F.max_pool2d(rows, (1, side), 1, (0, reach))


def blobs(alpha: Tensor, rng: torch.Generator, level: float) -> Tensor:
    """Give bool [N, 1, H, W]: smooth patches, as a hand would mark them; the fewer, the higher the
    level, 0-1.
    """
    coarse = torch.rand(len(alpha), 1, 9, 9, generator=rng).to(alpha.device)
    smooth = F.interpolate(coarse, size=alpha.shape[-2:], mode="bicubic", align_corners=False)
    return smooth > level

"""The fourth channel: most of the time nothing is known, now and then a little or a lot.

Trimaps are float32 [N, 1, H, W]: 0 background, 1 foreground, `UNKNOWN` where the network decides.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

UNKNOWN = 128 / 255


def draw_trimaps(
    alpha: Tensor, trusted: Tensor, share: float, rng: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Trimaps for `share` of the batch and nothing known for the rest; and the mask of what they
    say, bool [N, 1, H, W], which the alpha has to honour.
    """
    trimap, known = torch.full_like(alpha, UNKNOWN), torch.zeros_like(alpha, dtype=torch.bool)
    for i in (torch.rand(len(alpha), generator=rng) < share).nonzero().flatten().tolist():
        known[i] = say(alpha[i : i + 1], rng)[0] & (trusted[i] > 0.99)
    return torch.where(known, (alpha > 0.5).float(), trimap), known


def say(alpha: Tensor, rng: torch.Generator) -> Tensor:
    """Give bool [1, 1, H, W]: where a good trimap, a crude one or a few strokes say something."""
    size = max(alpha.shape[-2:])
    kind = float(torch.rand(1, generator=rng))
    narrow, wide = (2, size // 40 + 3) if kind < 0.5 else (size // 40 + 2, size // 10 + 3)
    known = away_from_edge(alpha, int(torch.randint(narrow, wide, (1,), generator=rng)))
    return known & blobs(alpha, rng) if kind > 0.7 else known


def away_from_edge(alpha: Tensor, reach: int) -> Tensor:
    """bool: all of the alpha within `reach` pixels is 0, or all of it is 1."""
    return (largest(alpha, reach) < 0.02) | (largest(1 - alpha, reach) < 0.02)


def largest(x: Tensor, reach: int) -> Tensor:
    """The maximum over a square, one direction after the other."""
    side = 2 * reach + 1
    rows = F.max_pool2d(x, (side, 1), 1, (reach, 0))
    return F.max_pool2d(rows, (1, side), 1, (0, reach))


def blobs(alpha: Tensor, rng: torch.Generator) -> Tensor:
    """Give bool [N, 1, H, W]: a few smooth patches, as a hand would mark them."""
    coarse = torch.rand(len(alpha), 1, 9, 9, generator=rng).to(alpha.device)
    smooth = F.interpolate(coarse, size=alpha.shape[-2:], mode="bicubic", align_corners=False)
    return smooth > 0.85

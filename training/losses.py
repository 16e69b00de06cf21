"""What the network is trained to make small; one function for each term.

`alpha` and `truth` are float32 [N, 1, H, W], 0-1; `trusted` weighs each pixel.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from serve_app.models.unet import stretched_sigmoid
from training.batches import Batch
from training.settings import Losses

_EPSILON = 1e-6
_LEVELS = 5  # of the Laplacian pyramid


def training_losses(fine: Tensor, coarse: Tensor, batch: Batch) -> dict[str, Tensor]:
    """Each term, unweighted, by its name in the settings."""
    alpha = stretched_sigmoid(fine.float())
    sharp = batch.trusted * batch.detailed
    return {
        "l1": absolute(alpha, batch.alpha, batch.trusted),
        "cross_entropy": cross_entropy(fine.float(), batch.alpha, batch.trusted),
        "laplacian": laplacian(alpha, batch.alpha, sharp),
        "gradient": gradient(alpha, batch.alpha, sharp),
        "segmentation": segmentation(coarse.float(), batch.alpha, batch.trusted),
        "band": absolute(alpha, batch.alpha, sharp * batch.band),
    }


def total(terms: dict[str, Tensor], weights: Losses) -> Tensor:
    return torch.stack([getattr(weights, name) * term for name, term in terms.items()]).sum()


def weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    weights = weights.expand_as(values)
    return (values * weights).sum() / (weights.sum() + _EPSILON)


def absolute(alpha: Tensor, truth: Tensor, trusted: Tensor) -> Tensor:
    """Mean absolute difference, the alpha loss of Deep Image Matting (Xu et al., CVPR 2017)."""
    return weighted_mean((alpha - truth).abs(), trusted)


def cross_entropy(logits: Tensor, truth: Tensor, trusted: Tensor) -> Tensor:
    """Binary cross-entropy: unlike L1 through a sigmoid it still pulls where the network is surely
    wrong.
    """
    each = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    return weighted_mean(each, trusted)


def dice(alpha: Tensor, truth: Tensor, trusted: Tensor) -> Tensor:
    """1 - soft Dice per picture (Milletari et al., V-Net, 3DV 2016): small subjects count as much
    as large ones. A picture without a subject costs what is found in it.
    """
    alpha, truth = alpha * trusted, truth * trusted
    shared = (alpha * truth).sum((1, 2, 3))
    both = (alpha**2).sum((1, 2, 3)) + (truth**2).sum((1, 2, 3))
    smooth = 0.005 * truth[0].numel()
    return (1 - (2 * shared + smooth) / (both + smooth)).mean()


def segmentation(logits: Tensor, truth: Tensor, trusted: Tensor) -> Tensor:
    """Cross-entropy and Dice at the context branch's resolution (semantic branch of MODNet, Ke et
    al., AAAI 2022, with Dice in place of L2).
    """
    size = logits.shape[-2:]
    truth, trusted = (F.adaptive_avg_pool2d(x, size) for x in (truth, trusted))
    return cross_entropy(logits, truth, trusted) + dice(torch.sigmoid(logits), truth, trusted)


def gradient(alpha: Tensor, truth: Tensor, trusted: Tensor) -> Tensor:
    """Mean absolute difference of the slopes along x and y (Tang et al., CVPR 2019)."""
    difference = alpha - truth
    along_x = (difference[..., :, 1:] - difference[..., :, :-1]).abs()
    along_y = (difference[..., 1:, :] - difference[..., :-1, :]).abs()
    return weighted_mean(along_x, trusted[..., :, 1:]) + weighted_mean(along_y, trusted[..., 1:, :])


def laplacian(alpha: Tensor, truth: Tensor, trusted: Tensor) -> Tensor:
    """L1 over a Laplacian pyramid, coarser levels counting more (Hou & Liu, ICCV 2019)."""
    difference = (alpha - truth) * trusted
    count = trusted.sum() + _EPSILON
    loss = alpha.new_zeros(())
    for level in range(_LEVELS):
        if min(difference.shape[-2:]) < 4:
            break
        coarser = F.avg_pool2d(gaussian(difference), 2)
        back = F.interpolate(
            coarser, size=difference.shape[-2:], mode="bilinear", align_corners=False
        )
        # A level has a quarter of the pixels of the last: 4 ** level makes it a mean, and
        # 2 ** level is the paper's weight, here scaled to sum to about 1.
        loss = loss + (difference - back).abs().sum() * 4**level * 2**level / 2**_LEVELS / count
        difference = coarser
    return loss


def gaussian(x: Tensor) -> Tensor:
    """The 5-tap binomial filter of Burt & Adelson (1983).

    Shifted sums, one direction after the other: a convolution of one channel took a fifth of a
    whole training step on a CPU.
    """
    for axis in (2, 3):
        pad = (0, 0, 2, 2) if axis == 2 else (2, 2, 0, 0)
        side = x.shape[axis]
        taps = F.pad(x, pad, mode="replicate")
        a, b, c, d, e = (taps.narrow(axis, i, side) for i in range(5))
        x = (a + e) / 16 + (b + d) / 4 + c * (6 / 16)
    return x

"""How good is an alpha: the measures of alphamatting.com and the overlap with a segmentation.

    for pair in match_pairs(images, alphas):
        scores.append(score(predict(pair.image), read_alpha(pair.alpha)))
    mean_scores(scores)

SAD, MSE, Grad and Conn follow Rhemann et al., "A Perceptually Motivated Online Benchmark for Image
Matting", CVPR 2009.
"""

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from serve_app.errors import InputError, SettingsError
from serve_app.types import Array

_Float = NDArray[np.float64]
_Mask = NDArray[np.bool_]

_GRAD_SIGMA = 1.4  # px
_GRAD_CUT = 0.01  # the Gaussian is cut off where it falls below this
_CONN_LEVELS = tuple(i / 10 for i in range(11))
_CONN_TOLERANCE = 0.15  # being this much below full connectivity is not seen
_THOUSAND = 1000  # sums are given in thousands, as the benchmark does
_FILES_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Scores:
    """All are errors, 0 is perfect, except `iou`, where 1 is."""

    iou: float  # intersection over union of the pixels that are at least half opaque
    sad: float  # sum of absolute differences, thousands
    mse: float  # mean squared difference, alpha being 0-1
    mad: float  # mean absolute difference, alpha being 0-1
    grad: float  # squared difference of the gradients, thousands
    conn: float  # difference in how well pixels hang together with the subject, thousands


@dataclass(frozen=True, slots=True)
class Pair:
    """A photo and its true alpha."""

    name: str
    image: Path
    alpha: Path


def score(alpha: Array, truth: Array, unknown: _Mask | None = None) -> Scores:
    """Compare a predicted alpha with the true one.

    Args:
        alpha: uint8 `[H, W]`.
        truth: uint8 `[H, W]`.
        unknown: bool `[H, W]`, the pixels that count: with a trimap, those it leaves unknown.
            None counts all of them.

    Raises:
        InputError: the shapes differ, or no pixel counts.
    """
    if alpha.shape != truth.shape or (unknown is not None and unknown.shape != truth.shape):
        raise InputError(
            f"alpha {alpha.shape} and truth {truth.shape}"
            + (f" and unknown {unknown.shape}" if unknown is not None else "")
            + " have to be of one shape (height, width)"
        )
    counts = np.ones(truth.shape, bool) if unknown is None else unknown
    if not counts.any():
        raise InputError("no pixel to score: 'unknown' is False everywhere")
    ours, true = alpha / 255.0, truth / 255.0
    difference = np.abs(ours - true)[counts]
    return Scores(
        iou=overlap(alpha[counts], truth[counts]),
        sad=float(difference.sum() / _THOUSAND),
        mse=float((difference**2).mean()),
        mad=float(difference.mean()),
        grad=gradient_error(ours, true, counts),
        conn=connectivity_error(ours, true, counts),
    )


def mean_scores(scores: Sequence[Scores]) -> Scores:
    """The mean over images, each counting the same."""
    if not scores:
        raise InputError("no image was scored: there is no mean of nothing")
    return Scores(*np.mean([astuple(each) for each in scores], axis=0).tolist())


def overlap(alpha: Array, truth: Array) -> float:
    """Intersection over union at 0.5; 1 where neither has a subject."""
    ours, true = alpha >= 128, truth >= 128
    union = int((ours | true).sum())
    return float((ours & true).sum() / union) if union else 1.0


def gradient_error(ours: _Float, true: _Float, counts: _Mask) -> float:
    """Sum of squared differences of the gradient magnitudes, in thousands."""
    return float(((slope(ours) - slope(true))[counts] ** 2).sum() / _THOUSAND)


def slope(alpha: _Float) -> _Float:
    """Gradient magnitude by first derivatives of a Gaussian, each filter of norm 1."""
    variance = _GRAD_SIGMA**2
    peak = 1 / (math.sqrt(2 * math.pi) * _GRAD_SIGMA)
    reach = math.ceil(_GRAD_SIGMA * math.sqrt(-2 * math.log(_GRAD_CUT / peak)))
    x = np.arange(-reach, reach + 1, dtype=np.float64)
    gauss = peak * np.exp(-(x**2) / (2 * variance))
    derivative = -x * gauss / variance
    kernel = np.outer(gauss, derivative)
    kernel /= np.linalg.norm(kernel)
    along_x, along_y = (
        cv2.filter2D(alpha, cv2.CV_64F, k, borderType=cv2.BORDER_REPLICATE)
        for k in (kernel, kernel.T)
    )
    return np.hypot(along_x, along_y)


def connectivity_error(ours: _Float, true: _Float, counts: _Mask) -> float:
    """Sum of differences of the degrees of connectivity, in thousands.

    A pixel's level is the highest one at which it still belongs to the largest region that both
    alphas share (4-connected). What stands out above that level by the tolerance is loose.
    """
    level = np.ones(true.shape)
    settled = np.zeros(true.shape, bool)
    for below, at in pairwise(_CONN_LEVELS):
        outside = ~largest_region((ours >= at) & (true >= at)) & ~settled
        level[outside] = below
        settled |= outside
    degrees = []
    for alpha in (ours, true):
        loose = alpha - level
        degrees.append(1 - loose * (loose >= _CONN_TOLERANCE))
    return float(np.abs(degrees[0] - degrees[1])[counts].sum() / _THOUSAND)


def largest_region(mask: _Mask) -> _Mask:
    """The 4-connected region with most pixels; empty if the mask is."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    if len(stats) < 2:
        return np.zeros_like(mask)
    return np.asarray(labels == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax()))


def match_pairs(images: Path, alphas: Path) -> list[Pair]:
    """Pair the files of two folders by their stem, in name order.

    Raises:
        SettingsError: a folder is missing or empty, a file has no partner, or two files of a
            folder share a stem.
    """
    by_stem = [_files_by_stem(folder) for folder in (images, alphas)]
    lonely = sorted(by_stem[0].keys() ^ by_stem[1].keys())
    if lonely:
        shown = ", ".join(f"'{stem}'" for stem in lonely[:_FILES_SHOWN])
        more = f" and {len(lonely) - _FILES_SHOWN} more" if len(lonely) > _FILES_SHOWN else ""
        raise SettingsError(
            f"no partner for {shown}{more}: each picture in '{images}' needs an alpha of the "
            f"same name in '{alphas}', and the other way round"
        )
    return [Pair(stem, by_stem[0][stem], by_stem[1][stem]) for stem in sorted(by_stem[0])]


def read_alpha(path: Path) -> Array:
    """Read a true alpha: an 8-bit grey picture, uint8 `[H, W]`, 255 = foreground.

    Raises:
        InputError: not readable, or not 8-bit grey.
    """
    try:
        with Image.open(path) as image:
            if image.mode in ("L", "1"):
                return np.asarray(image.convert("L"))
            mode = image.mode
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as exc:
        raise InputError(f"alpha '{path.name}' cannot be read: {exc}") from exc
    raise InputError(f"alpha '{path.name}' is {mode}: save it as 8-bit grey, 255 = foreground")


def _files_by_stem(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise SettingsError(f"'{folder}' is not a folder: give one with pictures")
    found: dict[str, Path] = {}
    for path in sorted(p for p in folder.iterdir() if p.is_file() and p.name[0] != "."):
        if path.stem in found:
            raise SettingsError(
                f"'{found[path.stem].name}' and '{path.name}' in '{folder}' share a name: files "
                "are paired by their name without suffix, so keep one"
            )
        found[path.stem] = path
    if not found:
        raise SettingsError(f"'{folder}' is empty: give a folder with pictures")
    return found

"""Cutouts with true soft alphas, made out of cutouts with hard ones.

Masks say nothing of hair, and true mattes are few: what a network is to learn of soft edges is
drawn upon the subjects at hand, where the alpha is known because it was drawn.
"""

import hashlib
import random
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
import torch

from training.data import Photo, make_photo, subject_box
from training.hair import fur, hair, leaves
from training.layers import straight
from training.settings import Settings
from training.sheer import blurred, glass, net, veil
from training.strands import outline

Softener = Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray]
KINDS: tuple[tuple[Softener, float], ...] = (
    (hair, 0.4),
    (fur, 0.2),
    (leaves, 0.12),
    (net, 0.1),
    (veil, 0.07),
    (glass, 0.04),
    (blurred, 0.07),
)
"""Each kind and its share."""

GROWN = "grown"  # the source that such cutouts belong to
_MARGIN = 0.3  # of the subject's longer side: so far may grow what grows
_CUT = 2  # px; a subject this close to its photo's edge was cut by it and has no margin there
_LEAST = 24  # px; a smaller subject, or a shorter outline, is nothing to grow on
_AT_ONCE = 64  # cutouts that are handed to the processes


def grow_cutout(
    colour: np.ndarray, alpha: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray] | None:
    """Colour uint8 HWC RGB, straight, and alpha uint8 HW of the subject of a cutout alike, with
    something soft grown on it. None where there is no subject to grow on.

    The colour is what was drawn wherever alpha is above 0, and carried on beyond.
    """
    rng = np.random.default_rng(seed)
    framed = frame(colour, alpha, int(np.exp(rng.uniform(np.log(300), np.log(560)))))
    if framed is None or len(outline(framed[1]).points) < _LEAST:
        return None
    kinds, shares = zip(*KINDS, strict=True)
    soften = kinds[rng.choice(len(kinds), p=np.array(shares) / sum(shares))]
    layer = soften(*framed, rng)
    if rng.random() < 0.15:  # a lens is never quite sharp
        layer = cv2.GaussianBlur(layer, (0, 0), rng.uniform(0.4, 1.2))
    return straight(layer)


def frame(colour: np.ndarray, alpha: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray] | None:
    """The subject with a margin where its photo didn't cut it; its longer side is `side` pixels, or
    twice what it was.
    """
    top, left, bottom, right = subject_box(alpha)
    height, width = bottom - top, right - left
    if min(height, width) < _LEAST or not (alpha > 127).any():
        return None
    scale = min(side / max(height, width), 2.0)
    margin = int(_MARGIN * max(height, width))
    cut = top <= _CUT, bottom >= alpha.shape[0] - _CUT, left <= _CUT, right >= alpha.shape[1] - _CUT
    pads = [0 if is_cut else margin for is_cut in cut]
    window = slice(top, bottom), slice(left, right)
    colour = cv2.copyMakeBorder(colour[window], *pads, cv2.BORDER_REPLICATE)
    alpha = cv2.copyMakeBorder(alpha[window], *pads, cv2.BORDER_CONSTANT, value=0)
    size = max(1, round(alpha.shape[1] * scale)), max(1, round(alpha.shape[0] * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cv2.resize(colour, size, interpolation=how), cv2.resize(alpha, size, interpolation=how)


def grow(
    cutouts: Sequence[Photo], settings: Settings, device: torch.device, folder: Path
) -> list[Photo]:
    """`settings.grown.count` of them, on the cutouts whose masks were hard. What was grown before
    lies in `folder`.
    """
    photos: list[Photo] = []
    chosen = choose(cutouts, settings)
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        for begin in range(0, len(chosen), _AT_ONCE):  # not all of their pixels at once
            some = chosen[begin : begin + _AT_ONCE]
            files = (folder / f"{photo.source}-{photo.name}" for photo in some)
            seeds = range(begin, begin + len(some))
            made = pool.map(cached_cutout, map(pixels, some), seeds, files)
            for photo, cutout in zip(some, made, strict=True):
                if cutout is not None:
                    photos.append(grown_photo(photo.name, *cutout, device))
    return photos


def choose(cutouts: Sequence[Photo], settings: Settings) -> list[Photo]:
    """Those to grow on, by their sources' shares; the larger the share, the oftener the same."""
    hard = [photo for photo in cutouts if not settings.sources[photo.source].soft]
    if not (hard and settings.grown.count):
        return []
    numbers = Counter(photo.source for photo in hard)
    shares = [settings.sources[p.source].cutout / numbers[p.source] for p in hard]
    return random.Random(settings.seed).choices(hard, shares, k=settings.grown.count)


def pixels(photo: Photo) -> np.ndarray:
    """Colour and alpha, uint8 [H, W, 4]."""
    return photo.levels[0][:4].permute(1, 2, 0).cpu().numpy()


def cached_cutout(
    cutout: np.ndarray, seed: int, file: Path
) -> tuple[np.ndarray, np.ndarray] | None:
    """`grow_cutout`, or what an earlier call with the same pixels and seed has left on disk.

    `file` is a path without suffix: a digest of what was grown on is appended to its name.
    """
    cv2.setNumThreads(1)  # each process has one core
    digest = hashlib.sha256(f"{seed} {cutout.shape}".encode() + cutout.tobytes()).hexdigest()
    file = file.with_name(f"{file.name}-{digest[:12]}.png")
    made = cv2.imread(str(file), cv2.IMREAD_UNCHANGED) if file.exists() else None
    if made is not None:
        return made[..., 2::-1], made[..., 3]
    grown = grow_cutout(cutout[..., :3], cutout[..., 3], seed)
    if grown is not None:
        colour, alpha = grown
        _, data = cv2.imencode(".png", np.dstack([colour[..., ::-1], alpha]))
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(".part")
        part.write_bytes(data.tobytes())
        part.replace(file)  # in one step, whenever the run is ended
    return grown


def grown_photo(name: str, colour: np.ndarray, alpha: np.ndarray, device: torch.device) -> Photo:
    return make_photo(name, GROWN, True, colour, alpha, np.full_like(alpha, 255), device)

"""Photos and alphas in memory: decoded once, checked, at several sizes.

A photo is a uint8 tensor [5, H, W]: R, G, B, alpha and how far that alpha can be trusted
(255 = fully, 0 = unknown). It is kept as a pyramid, each level half the size of the one before,
so that drawing it small costs little and does not alias.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from serve_app.errors import InputError, SettingsError
from serve_app.evaluation import read_alpha
from serve_app.imaging.decode import decode
from serve_app.imaging.foreground import estimate_foreground
from serve_app.settings import Limits
from serve_app.types import UNKNOWN
from training.settings import Settings, Source
from training.solve import OPAQUE, cached_alpha, check_solver, near_edge

log = logging.getLogger(__name__)

_SMALLEST_LEVEL = 24  # px, longest side: a blur in which nothing is recognised any more
_BAND_TRUST = 64  # of 255: near a binary mask's edge only a hint of where it is
_SOLVED_TRUST = 160  # of 255: a solved alpha has two thirds of a mask's error there
_REACH = 25  # px; as far beyond a subject's edge its colour is carried on


@dataclass(frozen=True, slots=True)
class Photo:
    """A picture with its alpha; `levels` are tensors [5, H, W] from large to small."""

    name: str
    source: str
    soft: bool  # its alpha is a matte, true or solved, not a mask
    levels: tuple[Tensor, ...]
    box: tuple[int, int, int, int]  # of the subject at full size: top, left, bottom, right

    @property
    def size(self) -> tuple[int, int]:
        height, width = self.levels[0].shape[1:]
        return height, width


@dataclass(frozen=True, slots=True)
class Collection:
    """All that batches are drawn from."""

    photos: tuple[Photo, ...]  # used as they are
    cutouts: tuple[Photo, ...]  # pasted on something else
    backgrounds: tuple[Photo, ...]  # without a subject


def load_collection(
    root: Path, settings: Settings, device: torch.device, solved: Path
) -> Collection:
    """Read `root/<source>/{images,alphas}` for each source of the settings.

    What is solved is kept in the folder `solved`. A pair that cannot be trusted is named in a
    warning and left out.

    Raises:
        SettingsError: a source has no usable pair.
        SetupError: a source is to be solved and the solver is not installed.
    """
    if any(source.solve for source in settings.sources.values()):
        check_solver()
    photos, cutouts = [], []
    for name, source in settings.sources.items():
        before = len(photos) + len(cutouts)
        for path, *pair in read_pairs(root / name):
            image, alpha = shrink(*pair, settings.longest_side)
            trusted, soft = trust(alpha, source), source.soft
            if source.solve:
                matte = cached_alpha(image, alpha, source.solve, solved / name / path.stem)
                if matte is not None:  # else it stays a mask
                    trusted, soft = trust_solved(alpha, source.solve), True
                    alpha = matte
            if source.weight:
                photos.append(make_photo(path.stem, name, soft, image, alpha, trusted, device))
            if source.cutout:
                colour = carry_on(estimate_foreground(image, alpha), alpha)
                cutouts.append(make_photo(path.stem, name, soft, colour, alpha, trusted, device))
        if len(photos) + len(cutouts) == before:
            raise SettingsError(
                f"sources: '{name}' has no usable pair under '{root / name}': it needs "
                "images/NAME.jpg with alphas/NAME.png, or take it out of the settings"
            )
    backgrounds = load_backgrounds(root / settings.backgrounds, settings.longest_side, device)
    return Collection(tuple(photos), tuple(cutouts), tuple(backgrounds))


def load_backgrounds(folder: Path, longest_side: int, device: torch.device) -> list[Photo]:
    """Read `folder/images`: photos without a subject, their alpha is 0 everywhere."""
    photos = []
    for path in sorted((folder / "images").glob("*")):
        try:
            image = read_rgb(path)
        except InputError as exc:
            log.warning("skipped %s: %s", path, exc)
            continue
        image, alpha = shrink(image, np.zeros(image.shape[:2], np.uint8), longest_side)
        known = np.full_like(alpha, 255)
        photos.append(make_photo(path.stem, folder.name, False, image, alpha, known, device))
    if not photos:
        raise SettingsError(f"backgrounds: no readable picture under '{folder / 'images'}'")
    return photos


def read_pairs(folder: Path) -> Iterator[tuple[Path, np.ndarray, np.ndarray]]:
    """Yield (image path, image uint8 HWC RGB, alpha uint8 HW) of each good pair, by file stem."""
    alphas: dict[str, Path] = {}
    for path in sorted((folder / "alphas").glob("*")):
        if alphas.setdefault(path.stem, path) != path:
            log.warning("skipped %s: '%s' is the alpha of that name", path, alphas[path.stem].name)
    for path in sorted((folder / "images").glob("*")):
        alpha_path = alphas.pop(path.stem, None)
        if alpha_path is None:
            log.warning("skipped %s: no alpha of that name", path)
            continue
        try:
            image, alpha = read_rgb(path), read_alpha(alpha_path)
        except InputError as exc:
            log.warning("skipped %s: %s", path, exc)
            continue
        if image.shape[:2] != alpha.shape:
            log.warning(
                "skipped %s: image is %s, alpha %s (height, width)",
                path,
                image.shape[:2],
                alpha.shape,
            )
            continue
        yield path, image, alpha
    for path in alphas.values():
        log.warning("skipped %s: no image of that name", path)


def read_rgb(path: Path) -> np.ndarray:
    """Decode as the service does: upright, sRGB, uint8 HWC. Raises InputError."""
    try:
        data = path.read_bytes()
    except OSError as exc:
        raise InputError(f"image '{path.name}' cannot be read: {exc.strerror}") from exc
    return decode(data, Limits()).image


def shrink(image: np.ndarray, alpha: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Scale both down so that the longest side is at most `side` pixels; never up."""
    height, width = alpha.shape
    scale = side / max(height, width)
    if scale >= 1:
        return image, alpha
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return tuple(cv2.resize(a, size, interpolation=cv2.INTER_AREA) for a in (image, alpha))


def trust(alpha: np.ndarray, source: Source) -> np.ndarray:
    """uint8 HW: 255 where the alpha is right, less near a binary mask's edge, 0 where unknown."""
    trusted = np.full_like(alpha, 255)
    if source.soft:
        return trusted
    if source.band:
        trusted[near_edge(alpha, source.band)] = _BAND_TRUST
    if source.three_valued:
        trusted[alpha == UNKNOWN] = 0
    return trusted


def trust_solved(mask: np.ndarray, band: int) -> np.ndarray:
    """uint8 HW, as `trust`, of the alpha solved from a mask."""
    trusted = np.full_like(mask, 255)
    trusted[near_edge(mask >= OPAQUE, band)] = _SOLVED_TRUST
    return trusted


def carry_on(image: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Give what is not the subject the colour of the subject beside it, uint8 HWC.

    Else shrinking the picture would mix the old background into the edge.
    """
    outside = alpha == 0
    weight = (alpha / np.float32(255))[..., None]
    near, far = (
        cv2.blur(image * weight, (px, px)) / (cv2.blur(weight, (px, px))[..., None] + 1e-6)
        for px in (5, 2 * _REACH + 1)
    )
    beside = cv2.dilate(alpha, np.ones((5, 5), np.uint8)) > 0
    colour = np.where(beside[..., None], near, far).clip(0, 255).astype(np.uint8)
    return np.where(outside[..., None], colour, image)


def make_photo(
    name: str,
    source: str,
    soft: bool,
    image: np.ndarray,
    alpha: np.ndarray,
    trusted: np.ndarray,
    device: torch.device,
) -> Photo:
    levels = [np.dstack([image, alpha, trusted])]
    while max(levels[-1].shape[:2]) > _SMALLEST_LEVEL:
        levels.append(half(levels[-1]))
    tensors = (torch.from_numpy(a.transpose(2, 0, 1).copy()).to(device) for a in levels)
    return Photo(name, source, soft, tuple(tensors), subject_box(alpha))


def half(stack: np.ndarray) -> np.ndarray:
    height, width, _ = stack.shape
    size = (width + 1) // 2, (height + 1) // 2
    # OpenCV resizes four channels at most.
    parts = (np.ascontiguousarray(part) for part in (stack[..., :3], stack[..., 3:]))
    return np.dstack([cv2.resize(part, size, interpolation=cv2.INTER_AREA) for part in parts])


def subject_box(alpha: np.ndarray) -> tuple[int, int, int, int]:
    """(top, left, bottom, right) of what is more than half opaque; the whole picture if nothing."""
    rows, columns = (np.flatnonzero((alpha > 127).any(axis)) for axis in (1, 0))
    if not len(rows):
        return 0, 0, alpha.shape[0], alpha.shape[1]
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1

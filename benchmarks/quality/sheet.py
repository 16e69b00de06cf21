"""Contact sheets: photo, true alpha and our cutout of the best, median and worst of each source."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from benchmarks.quality.ours import DEFAULT, Variant, alphas
from benchmarks.quality.photos import SOURCES, Photo
from benchmarks.quality.scoring import Scored
from serve_app.imaging.decode import decode
from serve_app.imaging.foreground import estimate_foreground
from serve_app.settings import Limits
from serve_app.types import Array, Upload

_TILE = 144  # px
_CHECKS = ((214, 51, 132), (25, 135, 84))  # colours that few subjects have, so that haze shows
_CHECK = 12  # px
_GREY = 110
_COLOURS = 256  # of the palette: a sheet is to be looked at, not measured


def picked(photos: list[Photo], scored: list[Scored], source: str) -> list[Photo]:
    """The best, the median and the worst photo of a source, by mean absolute difference."""
    by_name = {photo.name: photo for photo in photos if photo.source == source}
    rows = [row for row in scored if row.method == DEFAULT and row.source == source]
    rows.sort(key=lambda row: row.scores.mad)
    places = sorted({0, len(rows) // 2, len(rows) - 1})
    return [by_name[rows[place].name] for place in places]


def write_sheets(
    photos: list[Photo], scored: list[Scored], variant: Variant, out: Path, shown: Path
) -> list[str]:
    """Write a sheet of each source to `out`, and one of what may be shown to `shown`.

    Returns the credits of the latter.
    """
    out.mkdir(parents=True, exist_ok=True)
    public, credits = [], []
    for source in sorted({row.source for row in scored}):
        strips = [_strip(photo, variant) for photo in picked(photos, scored, source)]
        _write(np.vstack(strips), out / f"{source}.png")
        credit = SOURCES[source].credit if source in SOURCES else None
        if credit:
            blank = [np.full_like(strips[0], _GREY)] * (3 - len(strips))
            public.append(np.vstack([*strips, *blank]))
            credits.append(f"{source}: {credit}")
    if public:
        shown.parent.mkdir(parents=True, exist_ok=True)
        _write(np.vstack(public), shown)
    return credits


def checkered(image: Array, alpha: Array) -> Array:
    """Lay an image uint8 `[H, W, 3]` under its alpha `[H, W]` on a coloured checkerboard."""
    y, x = np.mgrid[: alpha.shape[0], : alpha.shape[1]] // _CHECK
    board = np.array(_CHECKS, np.float32)[(y + x) % 2]
    weight = (alpha / np.float32(255))[..., None]
    return np.rint(image * weight + board * (1 - weight)).astype(np.uint8)


def _strip(photo: Photo, variant: Variant) -> Array:
    upload = Upload(photo.image.read_bytes())
    image = decode(upload.image, Limits()).image
    ((_, alpha, _),) = alphas([variant], upload)
    truth, _ = photo.truth()
    small = _fitted(image.shape[:2])
    cutout = checkered(small(estimate_foreground(image, alpha)), small(alpha))
    tiles = small(image), cv2.cvtColor(small(truth), cv2.COLOR_GRAY2RGB), cutout
    return np.hstack([_square(np.asarray(tile, np.uint8)) for tile in tiles])


def _fitted(size: tuple[int, int]) -> Callable[[Array], Array]:
    scale = _TILE / max(size)
    height, width = (max(1, round(n * scale)) for n in size)
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return lambda a: np.asarray(cv2.resize(a, (width, height), interpolation=method), np.uint8)


def _square(tile: Array) -> Array:
    square = np.full((_TILE, _TILE, 3), _GREY, np.uint8)
    top, left = ((_TILE - n) // 2 for n in tile.shape[:2])
    square[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    return square


def _write(sheet: Array, path: Path) -> None:
    Image.fromarray(sheet).quantize(_COLOURS).save(path, optimize=True)

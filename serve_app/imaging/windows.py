"""Work on a large image only where there is something to do, a window at a time."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from serve_app.types import Array, Size

Window: TypeAlias = tuple[slice, slice]  # rows, columns

_THREADS = min(4, os.cpu_count() or 1)
_WORTH_A_THREAD = 32  # windows
_TILE = 128  # px: small enough to stay in the cache, large enough for a call to cost little


def windows(mask: Array) -> Iterator[Window]:
    """Yield windows that together hold all of `mask`'s pixels, uint8 `[H, W]`, above 0.

    They never overlap, and none is larger than its pixels need.
    """
    height, width = mask.shape
    for top in range(0, height, _TILE):
        for left in range(0, width, _TILE):
            x, y, w, h = cv2.boundingRect(mask[top : top + _TILE, left : left + _TILE])
            if w:
                yield slice(top + y, top + y + h), slice(left + x, left + x + w)


def for_each(work: Callable[[Window], None], parts: Iterable[Window]) -> None:
    """Do `work` on each of `parts`; side by side where there are many, on a few cores.

    What is done in one window must not touch another.
    """
    parts = list(parts)
    threads = min(_THREADS, len(parts) // _WORTH_A_THREAD)
    if threads < 2:
        for part in parts:
            work(part)
        return
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(work, parts):
            pass


def with_margin(window: Window, px: int) -> tuple[Window, Window]:
    """Return `window` with `px` more on each side where there is room, and where in that it lies.

    The far sides may reach beyond the image: a slice stops there by itself.
    """
    starts = [max(0, axis.start - px) for axis in window]
    rows, columns = (slice(s, axis.stop + px) for s, axis in zip(starts, window, strict=True))
    y, x = (slice(a.start - s, a.stop - s) for s, a in zip(starts, window, strict=True))
    return (rows, columns), (y, x)


def enlarge(
    array: NDArray[np.float32],
    size: Size,
    window: Window,
    part: tuple[Window, Size] | None = None,
    out: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Scale `[h, w, C]`, C at most 4, linearly to `size` and return its `window` alone.

    `array` may be a part of what is scaled: then `part` is its window in that and the size of it.
    Written to `out` where one is given.
    """
    (rows, columns), small = part or ((slice(0, 0), slice(0, 0)), array.shape[:2])
    down, across = small[0] / size[0], small[1] / size[1]
    # Pixels are areas: the centre of pixel 0 is at 0.5 at both sizes.
    matrix = np.array(
        [
            [across, 0, (window[1].start + 0.5) * across - 0.5 - columns.start],
            [0, down, (window[0].start + 0.5) * down - 0.5 - rows.start],
        ]
    )
    height, width = (axis.stop - axis.start for axis in window)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    edge = cv2.BORDER_REPLICATE
    scaled = cv2.warpAffine(array, matrix, (width, height), out, flags, edge)
    return np.asarray(scaled, np.float32)


def soft_mask(alpha: Array) -> Array:
    """Return 255 where `alpha` is 1-254 and 0 elsewhere."""
    return np.asarray(cv2.inRange(alpha, 1, 254), np.uint8)


def seen_soft_mask(alpha: Array, least: int) -> Array:
    """As `soft_mask`, but only within 1 px of where alpha is `least` or more from 0 and 255."""
    seen = cv2.dilate(cv2.inRange(alpha, least, 255 - least), np.ones((3, 3), np.uint8))
    return np.asarray(cv2.bitwise_and(soft_mask(alpha), seen), np.uint8)

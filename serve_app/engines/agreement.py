"""How far two engines' alphas are apart, and how far they may be."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from serve_app.engines.base import Engine
from serve_app.types import Array

LEVELS = 2  # of 255; fp32 and fp16 stay within this ...
SHARE = 0.999  # ... on this share of pixels
INT8_MEAN = 1.0  # of 255; int8's mean absolute error stays below


@dataclass(frozen=True, slots=True)
class Agreement:
    """Differences over all pixels of all pictures, in levels of 255."""

    mean: float
    largest: int
    within: float  # share of pixels at most LEVELS apart

    def holds(self, precision: str) -> bool:
        """Whether it is what a precision promises."""
        return self.mean < INT8_MEAN if precision == "int8" else self.within >= SHARE

    def __str__(self) -> str:
        return (
            f"mean absolute error {self.mean:.3f}/255, {self.within:.3%} of pixels within "
            f"{LEVELS}/255, largest {self.largest}/255"
        )


def compare(engine: Engine, reference: Engine, batches: Sequence[tuple[Array, Array]]) -> Agreement:
    """Run both on the same batches, pairs of rgb and trimap."""
    counts = np.zeros(256, np.int64)
    for rgb, trimap in batches:
        given = engine.predict(rgb, trimap).astype(np.int16)
        difference = np.abs(given - reference.predict(rgb, trimap))
        counts += np.bincount(difference.ravel(), minlength=256)
    levels = np.arange(256)
    return Agreement(
        mean=float((counts * levels).sum() / counts.sum()),
        largest=int(levels[counts > 0].max()),
        within=float(counts[: LEVELS + 1].sum() / counts.sum()),
    )


def made_pictures(sizes: Sequence[tuple[int, int]], seed: int = 0) -> list[tuple[Array, Array]]:
    """Batches of one of each size, from soft shapes and noise, with a trimap now and then."""
    random = np.random.default_rng(seed)
    batches = []
    for index, (height, width) in enumerate(sizes):
        y, x = np.mgrid[:height, :width]
        waves = [np.sin(x / random.uniform(9, 90) + y / random.uniform(9, 90)) for _ in range(3)]
        noise = random.normal(0, 12, (height, width, 3))
        rgb = np.clip(128 + 90 * np.stack(waves, 2) + noise, 0, 255).astype(np.uint8)
        trimap = np.full((height, width), 128, np.uint8)
        if index % 2:
            trimap[: height // 4], trimap[-height // 4 :] = 0, 255
        batches.append((rgb[None], trimap[None]))
    return batches

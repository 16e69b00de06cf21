"""What a batch leaves to chance: numbers, and which photo is next."""

from bisect import bisect_right
from collections import Counter
from itertools import accumulate

import torch

from training.data import Photo

Size = tuple[int, int]  # (height, width)

_SUPPLY = 1024  # numbers drawn at once: one at a time they cost more than what they decide
_MISFIT = 0.15  # share kept of photos whose shape would leave much of the canvas over


class Chance:
    """Draws from one generator, whose state then decides all that comes after `begin`."""

    def __init__(self, rng: torch.Generator, max_enlargement: float) -> None:
        self._rng = rng
        self._max_enlargement = max_enlargement
        self._supply: list[float] = []
        self._odds: dict[tuple[int, Size], list[float]] = {}  # sums of all up to each photo

    def begin(self) -> None:
        """Forget what is left of numbers that were drawn before."""
        self._supply.clear()

    def number(self) -> float:
        """From 0 to 1."""
        if not self._supply:
            self._supply = torch.rand(_SUPPLY, generator=self._rng).tolist()
        return self._supply.pop()

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * self.number()

    def pick(
        self, photos: tuple[Photo, ...], size: Size, weights: dict[str, float] | None
    ) -> Photo:
        """One for a canvas of this size, by the sources' weights; None makes all alike."""
        key = id(photos), size
        if key not in self._odds:
            chances = odds(photos, size, weights, self._max_enlargement)
            self._odds[key] = list(accumulate(chances))
        sums = self._odds[key]
        return photos[min(bisect_right(sums, self.number() * sums[-1]), len(photos) - 1)]


def odds(
    photos: tuple[Photo, ...],
    size: Size,
    weights: dict[str, float] | None,
    max_enlargement: float,
) -> list[float]:
    """The chance of each photo on a canvas: its source's share, if it is large enough for it."""
    numbers = Counter(photo.source for photo in photos)
    chances = []
    for photo in photos:
        share = 1.0 if weights is None else weights[photo.source] / numbers[photo.source]
        if max(photo.size) * max_enlargement < max(size):
            share *= 1e-6  # a last resort, for collections that have nothing larger
        aspect = photo.size[0] / photo.size[1] * size[1] / size[0]
        if not 1 / 1.6 < aspect < 1.6:
            share *= _MISFIT
        chances.append(share)
    return chances

"""Alpha from colours that are alike, wherever in the image they lie.

After Aksoy, Aydin & Pollefeys, "Designing Effective Inter-Pixel Information Flow for Natural Image
Matting", CVPR 2017. To the matting Laplacian, which knows nothing but colours next to each other,
come two terms:

- each unknown pixel's alpha is to be that mixture of its neighbours' alphas, alike in colour, that
  its colour is of theirs;
- it is to be the share that known foreground has in its colour, mixed of known pixels of both
  kinds, the more the further those two colours are apart.

Their third, of unknown pixels among each other, is left out. It is solved at no more than half
the network's size, from closed-form matting's answer on: full size gained 2 % for four times the
time. Arrays are as in `closed_form.py`.
"""

from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from serve_app.imaging.closed_form import ColourLines, at_most, held, planes, solve_alpha
from serve_app.imaging.conjugate import descend
from serve_app.imaging.geometry import shrink, shrink_trimap
from serve_app.imaging.neighbours import Indices, mixture, nearest
from serve_app.types import BACKGROUND, FOREGROUND, UNKNOWN, Array, Size

_Float: TypeAlias = NDArray[np.float32]

_FINEST = 512  # px, longest side of the system
_ALIKE, _ALIKE_PLACE = 10, 1.0  # neighbours, and what the image's longest side weighs for them
_KNOWN, _KNOWN_PLACE = 7, 10.0  # of each kind
_KNOWN_WEIGHT = 0.05
_ROUNDS = 40


@dataclass(frozen=True, slots=True)
class Flow:
    """What colours say of alpha, each float32 `[h, w]` of the image's size."""

    near: _Float  # alpha by closed form alone
    solved: _Float  # alpha by all terms
    share: _Float  # alpha as the share of known foreground in the colour
    apart: _Float  # squared distance of the two colours that were mixed
    to_foreground: _Float  # squared distance to the nearest known colour
    to_background: _Float


def flow(image: Array, trimap: Array, start: Array) -> Flow | None:
    """Solve alpha where `trimap` `[h, w]` is UNKNOWN; `image` uint8 `[h, w, 3]`, `start` a guess.

    None where too little is known to compare with: at the size that is solved, no pixel of a kind.
    """
    size = _half(trimap.shape)
    marks, small = shrink_trimap(trimap, size), shrink(image, size)
    if not all((marks == kind).any() for kind in (BACKGROUND, UNKNOWN, FOREGROUND)):
        return None
    pixels = _Pixels(small, marks)
    near = solve_alpha(image, trimap, start)
    guess = cv2.resize(near, size[::-1], interpolation=cv2.INTER_AREA)
    known = _Known(pixels)
    lines, big = ColourLines(planes(small)), planes(image)
    share = held(pixels.picture(known.share), marks)
    solved = _solve(pixels, lines, known, held(np.asarray(guess, np.float32), marks))
    return Flow(
        near,
        held(lines.at(big, solved), trimap),
        held(lines.at(big, share), trimap),
        *(
            np.asarray(cv2.resize(pixels.picture(values), trimap.shape[::-1]), np.float32)
            for values in (known.apart, *known.distances)
        ),
    )


class _Pixels:
    """An image as rows of colours and places; `unknown` are the rows to solve."""

    def __init__(self, image: Array, marks: Array) -> None:
        self.marks, kinds = marks, marks.ravel()
        self.colours = image.reshape(-1, 3) * np.float32(1 / 255)
        places = np.indices(marks.shape).reshape(2, -1).T
        self._places = (places / max(marks.shape)).astype(np.float32)
        self.background, self.unknown, self.foreground = (
            np.flatnonzero(kinds == kind) for kind in (BACKGROUND, UNKNOWN, FOREGROUND)
        )

    def nearest(self, among: Indices, count: int, place: float) -> Indices:
        """Of the rows `among`, those nearest to each unknown one, `[unknown, count]`."""
        found = nearest(self._rows(among, place), self._rows(self.unknown, place), count)
        return np.asarray(among[found])

    def _rows(self, rows: Indices, place: float) -> _Float:
        return np.hstack([self.colours[rows], self._places[rows] * np.float32(place)])

    def picture(self, values: _Float) -> _Float:
        """Values of the unknown rows as `[h, w]`, 0 elsewhere."""
        out = np.zeros(self.marks.size, np.float32)
        out[self.unknown] = values
        return out.reshape(self.marks.shape)


class _Known:
    """Each unknown colour as a mixture of known ones of both kinds."""

    def __init__(self, pixels: _Pixels) -> None:
        own = pixels.colours[pixels.unknown]
        front, back = (
            pixels.nearest(kind, _KNOWN, _KNOWN_PLACE)
            for kind in (pixels.foreground, pixels.background)
        )
        both = np.hstack([front, back])
        weights = mixture(own, lambda rows: pixels.colours[both[rows]], 2 * _KNOWN)
        share = weights[:, :_KNOWN].sum(1)
        mixed = [
            _mean(pixels.colours[some], weight)
            for some, weight in ((front, weights[:, :_KNOWN]), (back, weights[:, _KNOWN:]))
        ]
        self.share = np.clip(share, 0, 1)
        self.apart = np.minimum(((mixed[0] - mixed[1]) ** 2).mean(1), 1)
        self.distances = [
            ((own - pixels.colours[some[:, 0]]) ** 2).sum(1) for some in (front, back)
        ]


class _Mixture:
    """The quadratic term of alphas that miss the mixture of their neighbours' alphas."""

    def __init__(self, pixels: _Pixels) -> None:
        self._shape, self._unknown = pixels.marks.shape, pixels.unknown
        found = pixels.nearest(np.arange(pixels.marks.size), _ALIKE + 1, _ALIKE_PLACE)
        own = found == pixels.unknown[:, None]
        own[~own.any(1), -1] = True  # one of many equals: the last goes instead
        self._alike = found[~own].reshape(len(found), _ALIKE)
        self._weights = mixture(
            pixels.colours[pixels.unknown], lambda rows: pixels.colours[self._alike[rows]], _ALIKE
        )

    def miss(self, alpha: _Float) -> _Float:
        """Multiply with its matrix."""
        flat = alpha.ravel()
        missed = flat[self._unknown] - (self._weights * flat[self._alike]).sum(1)
        out = -self._spread(self._weights * missed[:, None])
        out[self._unknown] += missed
        return out.reshape(self._shape)

    def diagonal(self) -> _Float:
        out = self._spread(self._weights**2)
        out[self._unknown] += 1
        return out.reshape(self._shape)

    def _spread(self, values: _Float) -> _Float:
        count = self._shape[0] * self._shape[1]
        return np.bincount(self._alike.ravel(), values.ravel(), count).astype(np.float32)


def _solve(pixels: _Pixels, lines: ColourLines, known: _Known, start: _Float) -> _Float:
    term = _Mixture(pixels)
    weight = _KNOWN_WEIGHT * pixels.picture(known.apart)
    return held(
        descend(
            lambda alpha: lines.miss(alpha) + term.miss(alpha) + weight * alpha,
            weight * pixels.picture(known.share),
            start,
            pixels.marks == UNKNOWN,
            _ROUNDS,
            np.maximum(lines.diagonal() + term.diagonal() + weight, np.float32(1e-6)),
        ),
        pixels.marks,
    )


def _mean(colours: _Float, weights: _Float) -> _Float:
    """Means `[n, 3]` of `[n, k, 3]`; weights near a sum of 0 give colours far out, not none."""
    total = weights.sum(1)
    total = np.where(np.abs(total) < 1e-3, np.float32(1e-3), total)
    return np.asarray((weights[..., None] * colours).sum(1) / total[:, None], np.float32)


def _half(size: Size) -> Size:
    return at_most(size, max(1, min(_FINEST, max(size) // 2)))

"""Strands: tapered curves that grow from an outline, drawn so fine that their coverage is known.

Points are float64 (x, y) in pixels, with the corner of the first pixel at (0, 0).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator

SCALE = 4  # drawn so much larger: a quarter of a pixel is the finest line
_SHIFT = 4  # bits of a pixel that OpenCV's coordinates carry
_POINTS = 13  # of a curve
_PIECES = 3  # of a curve, each thinner than the one before
_OUT = 0.2  # of a direction, at least, is away from the subject
_SMOOTH = 4.0  # px, of the outline's direction


@dataclass(frozen=True, slots=True)
class Roots:
    """Where strands begin, along an outline in its order, and the way out of it there."""

    points: np.ndarray  # [N, 2]
    normals: np.ndarray  # [N, 2], of length 1


@dataclass(frozen=True, slots=True)
class Style:
    """How strands grow; lengths and widths in pixels, the rest 0-1 unless it says otherwise."""

    length: float
    width: float
    spread: float = 0.3  # radians, of one strand against its neighbour
    wander: float = 0.5  # radians, of the direction along the outline
    comb: tuple[float, float] = (0.0, 0.0)  # added to the normal: combed, or hanging down
    bend: float = 0.3  # sideways, of the length
    curl: float = 0.0  # sideways waves, of the length
    clump: int = 12  # strands that share a tip
    clumped: float = 0.5  # how far they go to it
    flyaway: float = 0.05  # share that goes its own way
    depth: float = 4.0  # px inside the outline where a strand begins
    shade: float = 0.2  # of its brightness, from strand to strand


def outline(alpha: np.ndarray, edge: int = 3) -> Roots:
    """The edge of what is more than half opaque in uint8 HW, pixel by pixel.

    What lies within `edge` pixels of the picture's edge was cut there and has no roots.
    """
    height, width = alpha.shape
    contours, _ = cv2.findContours(
        (alpha > 127).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    long = [contour[:, 0] for contour in contours if len(contour) > 40]
    if not long:
        return Roots(np.zeros((0, 2)), np.zeros((0, 2)))
    pixels = np.concatenate(long)
    inside = ((pixels >= edge) & (pixels < (width - edge, height - edge))).all(1)
    pixels = pixels[inside]
    smooth = cv2.GaussianBlur(alpha.astype(np.float32), (0, 0), _SMOOTH)
    slopes = [cv2.Sobel(smooth, cv2.CV_32F, *axis) for axis in ((1, 0), (0, 1))]
    normals = -np.stack([slope[pixels[:, 1], pixels[:, 0]] for slope in slopes], 1)
    return Roots(pixels + 0.5, unit(normals.astype(np.float64)))


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / (np.linalg.norm(vectors, axis=-1, keepdims=True) + 1e-9)


def wave(count: int, knots: int, rng: Generator) -> np.ndarray:
    """Smooth chance along an outline, float64 [count], about -1 to 1."""
    values = rng.uniform(-1, 1, max(2, knots))
    return np.interp(np.linspace(0, len(values) - 1, count), np.arange(len(values)), values)


def grow(roots: Roots, count: int, style: Style, rng: Generator) -> np.ndarray:
    """`count` curves [count, _POINTS, 2] from the outline, neighbours in order."""
    total = len(roots.points)
    index = np.sort(rng.integers(0, total, count))
    normals = roots.normals[index]
    start = roots.points[index] - normals * rng.uniform(0.2, 1, (count, 1)) * style.depth
    free = rng.random(count) < style.flyaway
    turn = style.wander * wave(total, total // 60, rng)[index] + rng.normal(0, style.spread, count)
    turn[free] += rng.normal(0, 0.8, free.sum())
    direction = outward(turned(normals, turn) + np.asarray(style.comb), normals)
    # Many short ones and few long: the edge of hair thins out.
    lengths = style.length * (0.25 + 1.1 * rng.beta(1.6, 2.4, count)) * np.where(free, 1.4, 1.0)
    lengths *= 1 + 0.5 * wave(total, total // 40, rng)[index]
    tip = clumped(start + direction * lengths[:, None], free, style, rng)
    bend = style.bend * (0.6 * wave(total, total // 50, rng)[index] + 0.4 * rng.normal(size=count))
    side = turned(direction, np.full(count, np.pi / 2)) * lengths[:, None]
    # The first handle keeps to the way out of the outline: a hair stands up before it bends.
    first = start + 0.35 * lengths[:, None] * unit(normals + direction)
    curves = bezier(start, first, tip + side * bend[:, None] * 0.8, tip)
    return curves + side[:, None] * curls(count, style, rng)[..., None]


def clumped(tips: np.ndarray, free: np.ndarray, style: Style, rng: Generator) -> np.ndarray:
    """Tips [N, 2] moved towards the mean of each `style.clump` neighbours, the free ones not."""
    clump = np.arange(len(tips)) // style.clump
    means = np.stack([np.bincount(clump, tips[:, i]) for i in (0, 1)], 1)
    means /= np.bincount(clump)[:, None]
    pull = style.clumped * rng.uniform(0.4, 1, (len(tips), 1)) * ~free[:, None]
    return tips + (means[clump] - tips) * pull


def curls(count: int, style: Style, rng: Generator) -> np.ndarray:
    """How far curves go sideways along their way, [count, _POINTS], a clump's nearly alike."""
    clump = np.arange(count) // style.clump
    phase = rng.uniform(0, 2 * np.pi, clump[-1] + 1)[clump, None] + rng.normal(0, 0.5, (count, 1))
    cycles = rng.uniform(1, 2.5) * rng.uniform(0.8, 1.2, (count, 1))
    along = np.linspace(0, 1, _POINTS)
    return style.curl * along * np.sin(2 * np.pi * cycles * along + phase)


def outward(directions: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Of length 1, and none back into the subject, where nobody would see it."""
    directions = unit(directions)
    out = (directions * normals).sum(1, keepdims=True)
    return unit(directions + normals * np.maximum(_OUT - out, 0))


def turned(vectors: np.ndarray, angles: np.ndarray) -> np.ndarray:
    cos, sin = np.cos(angles), np.sin(angles)
    x, y = vectors.T
    return np.stack([cos * x - sin * y, sin * x + cos * y], 1)


def bezier(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray) -> np.ndarray:
    """Cubic curves [N, _POINTS, 2] of control points [N, 2]."""
    t = np.linspace(0, 1, _POINTS)[:, None]
    weights = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3
    return sum(w * p[:, None] for w, p in zip(weights, (a, b, c, d), strict=True))


class Drawing:
    """Opaque curves and shapes painted over each other, larger than life."""

    def __init__(self, size: tuple[int, int]) -> None:
        """`size` is (height, width) of the picture."""
        self.size = size
        self._pixels = np.zeros((size[0] * SCALE, size[1] * SCALE, 4), np.uint8)

    def curves(self, curves: np.ndarray, widths: np.ndarray, colours: np.ndarray) -> None:
        """Curves [N, K, 2] with a width in pixels at the root, [N], which ends at a third of it,
        and colours 0-255 at the root and the tip, [N, 2, 3].
        """
        points = fixed(curves)
        for points_of, width, colour in zip(points, widths, colours, strict=True):
            for part, piece in enumerate(pieces(points_of)):
                t = part / (_PIECES - 1)
                thick = thickness(float(width) * SCALE * (1 - 0.67 * t))
                paint = (*((1 - t) * colour[0] + t * colour[1]).tolist(), 255)
                cv2.polylines(self._pixels, [piece], False, paint, thick, cv2.LINE_8, _SHIFT)

    def shapes(self, shapes: np.ndarray, colours: np.ndarray) -> None:
        """Filled outlines [N, K, 2] with colours 0-255, [N, 3]."""
        for points, colour in zip(fixed(shapes), colours, strict=True):
            cv2.fillPoly(self._pixels, [points], (*colour.tolist(), 255), cv2.LINE_8, _SHIFT)

    def layer(self) -> np.ndarray:
        """What was drawn, as in `layers`, each pixel the mean of those it is made of."""
        large = self._pixels
        small = cv2.resize(large, self.size[::-1], interpolation=cv2.INTER_AREA)
        return small.astype(np.float32) / 255


def fixed(points: np.ndarray) -> np.ndarray:
    """Coordinates as OpenCV draws them: whole numbers with `_SHIFT` bits of fraction; for it, a
    pixel's centre is at 0.
    """
    return np.rint((points * SCALE - 0.5) * 2**_SHIFT).astype(np.int32)


def thickness(width: float) -> int:
    """OpenCV's word for a line of about this many pixels: it draws 1, 3, 5 of them, an odd number,
    for a thickness of 1, 2, 4 and so on.
    """
    return max(1, 2 * round((width - 1) / 2))


def pieces(curve: np.ndarray) -> Iterator[np.ndarray]:
    """A curve's points in `_PIECES` parts, each from where the last one ended."""
    step = (len(curve) - 1) // _PIECES
    for part in range(_PIECES):
        last = len(curve) if part == _PIECES - 1 else (part + 1) * step + 1
        yield curve[part * step : last]


def colours_at(image: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Colours [N, 3], 0-255, of uint8 HWC at points [N, 2], the nearest pixel inside the image."""
    x = points[:, 0].astype(int).clip(0, image.shape[1] - 1)
    y = points[:, 1].astype(int).clip(0, image.shape[0] - 1)
    return image[y, x].astype(np.float64)


def shaded(colours: np.ndarray, shade: float, rng: Generator) -> np.ndarray:
    """Colours [N, 3] as root and tip of strands, [N, 2, 3], 0-255: lighter and darker ones."""
    count = len(colours)
    each = np.exp(rng.normal(0, shade, (count, 1, 1)))
    tip = np.exp(rng.normal(0.1, shade, (count, 1, 1)))
    ends = colours[:, None] * each * np.concatenate([np.full_like(tip, 0.9), tip], 1)
    return ends.clip(0, 255)

"""What a subject is seen through, or what it fades into: nets, veils, glass, blur.

Arguments and layers as in `hair`.
"""

import cv2
import numpy as np
from numpy.random import Generator

from training.layers import base, layered, over
from training.strands import Drawing, shaded, turned, unit


def net(image: np.ndarray, alpha: np.ndarray, rng: Generator) -> np.ndarray:
    """Two families of threads, over a part of the subject and beyond it, or instead of it."""
    height, width = alpha.shape
    drawing = Drawing(alpha.shape)
    gap, thread = rng.uniform(5, 22), rng.uniform(0.4, 2)
    colour = rng.uniform(0, 255, 3) if rng.random() < 0.5 else image[alpha > 127].mean(0)
    angle, reach = rng.uniform(0, np.pi), float(np.hypot(height, width)) / 2
    lines = int(2 * reach / gap)
    along, offset = np.linspace(-reach, reach, 13), np.linspace(-reach, reach, lines)
    for turn in (angle, angle + rng.uniform(0.8, 1.6)):
        sway = rng.uniform(0, 1.5) * gap * np.sin(along / reach * rng.uniform(2, 9))
        points = np.stack(np.broadcast_arrays(along, offset[:, None] + sway), 2)
        curves = turned(points.reshape(-1, 2), np.full(points.size // 2, turn)).reshape(
            points.shape
        )
        curves += np.array([width, height]) / 2 + rng.normal(0, 0.06 * gap, curves.shape)
        colours = shaded(np.tile(colour, (lines, 1)), 0.1, rng)
        colours[:, 1] = colours[:, 0]
        drawing.curves(curves, np.full(lines, thread), colours)
    where = patch(alpha, rng)
    threads = drawing.layer() * where[..., None]
    holes = where if rng.random() < 0.5 else np.zeros_like(where)  # lace: the cloth itself is gone
    return over(threads, base(image, alpha) * (1 - holes[..., None]))


def patch(alpha: np.ndarray, rng: Generator, sharp: float = 40.0) -> np.ndarray:
    """A smooth-edged part of the picture around the subject's outline, float32 HW 0-1."""
    height, width = alpha.shape
    near = cv2.dilate(alpha, np.ones((3, 3), np.uint8), iterations=int(0.03 * max(alpha.shape)))
    near = cv2.GaussianBlur(near.astype(np.float32) / 255, (0, 0), 3)
    knots = rng.normal(size=(5, 5)).astype(np.float32)
    field = cv2.resize(knots, (width, height), interpolation=cv2.INTER_CUBIC)
    level = np.quantile(field[alpha > 127], rng.uniform(0.2, 0.7))
    return near * ((field - level) * sharp + 0.5).clip(0, 1)


def veil(image: np.ndarray, alpha: np.ndarray, rng: Generator) -> np.ndarray:
    """A thin cloth or smoke around the subject: folds of more and less, light at their ridges."""
    where = cv2.GaussianBlur(
        patch(alpha, rng, rng.choice((3.0, 40.0))), (0, 0), rng.uniform(0.5, 4)
    )
    folds = ridges(alpha.shape, rng)
    low = rng.uniform(0.05, 0.4)
    matte = where * (low + (rng.uniform(0.4, 0.9) - low) * folds)
    tint = rng.uniform(0, 255, 3) if rng.random() < 0.4 else rng.uniform(150, 255, 3)
    colour = (tint * (0.75 + 0.4 * folds[..., None])).clip(0, 255)
    cloth = layered(colour.astype(np.float32), matte)
    body = base(image, alpha)
    return over(cloth, body) if rng.random() < 0.5 else over(body, cloth)


def ridges(size: tuple[int, int], rng: Generator) -> np.ndarray:
    """Folds across a picture, float32 HW 0-1: bent waves of several widths."""
    height, width = size
    y, x = np.mgrid[:height, :width].astype(np.float32)
    angle = rng.uniform(0, np.pi)
    along = (x * np.cos(angle) + y * np.sin(angle)) / max(size)
    knots = rng.normal(size=(4, 4)).astype(np.float32)
    warp = cv2.resize(knots, (width, height), interpolation=cv2.INTER_CUBIC)
    waves = (
        np.sin(2 * np.pi * along * n + rng.uniform(0.5, 2) * warp) for n in rng.uniform(2, 14, 3)
    )
    return (sum(waves) / 6 + 0.5) ** 1.5


def glass(image: np.ndarray, alpha: np.ndarray, rng: Generator) -> np.ndarray:
    """The subject as something seen through: thin within, fuller at its rim, with highlights."""
    depth = cv2.distanceTransform((alpha > 127).astype(np.uint8), cv2.DIST_L2, 3)
    rim = np.exp(-depth / (rng.uniform(0.01, 0.05) * max(alpha.shape)))
    low = rng.uniform(0.05, 0.5)
    shine = (ridges(alpha.shape, rng) > rng.uniform(0.75, 0.95)).astype(np.float32)
    shine = cv2.GaussianBlur(shine, (0, 0), rng.uniform(1, 4)) * rng.uniform(0.3, 1)
    inner = low + (1 - low) * rng.uniform(0.3, 1) * rim
    outer = cv2.GaussianBlur(alpha.astype(np.float32) / 255, (0, 0), 1)
    whole = patch(alpha, rng, 8.0) if rng.random() < 0.2 else np.ones_like(outer)
    inner = 1 - whole * (1 - inner)
    clear = layered(image, ((outer - 0.5) * 2).clip(0, 1) * inner)
    light = layered(
        np.full_like(image, 255), shine * clear[..., 3].clip(0, 1) ** 0.3 * (outer > 0.9)
    )
    return over(light, clear)


def blurred(image: np.ndarray, alpha: np.ndarray, rng: Generator) -> np.ndarray:
    """Out of focus, or moving: colour and alpha blurred as one, in a part of the picture or all."""
    layer = base(image, alpha)
    if rng.random() < 0.5:
        soft = cv2.GaussianBlur(layer, (0, 0), rng.uniform(1, 6))
    else:
        side = int(rng.integers(5, 27)) | 1
        kernel = np.zeros((side, side), np.float32)
        end = unit(rng.normal(size=2)) * (side // 2) + side // 2
        start = side - 1 - end
        cv2.line(kernel, start.round().astype(int).tolist(), end.round().astype(int).tolist(), 1.0)
        soft = cv2.filter2D(layer, -1, kernel / kernel.sum())
    if rng.random() < 0.4:
        return soft
    where = cv2.resize(
        rng.random((4, 4)).astype(np.float32), alpha.shape[::-1], interpolation=cv2.INTER_CUBIC
    )
    where = ((where - 0.5) * 4 + 0.5).clip(0, 1)[..., None]
    return soft * where + layer * (1 - where)

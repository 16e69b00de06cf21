"""What grows out of a subject, strand by strand: hair, fur, twigs with leaves, feathers.

A cutout is uint8 HWC RGB with an alpha uint8 HW. The functions give a layer (see `layers`) whose
alpha and colour are exact by construction. All is decided by the generator.
"""

import numpy as np
from numpy.random import Generator

from training.layers import base, over
from training.strands import (
    Drawing,
    Roots,
    Style,
    bezier,
    colours_at,
    grow,
    outline,
    shaded,
    turned,
    unit,
)


def some(roots: Roots, rng: Generator, low: float = 0.3) -> Roots:
    """A part of an outline, or all of it."""
    share = rng.uniform(low, 1.3)
    if share >= 1:
        return roots
    count = len(roots.points)
    index = (rng.integers(count) + np.arange(max(2, int(share * count)))) % count
    index.sort()
    return Roots(roots.points[index], roots.normals[index])


def upper(roots: Roots, rng: Generator) -> Roots:
    """What of an outline a head would be: its upper part."""
    top, bottom = roots.points[:, 1].min(), roots.points[:, 1].max()
    kept = roots.points[:, 1] < top + (bottom - top) * rng.uniform(0.2, 0.6)
    return Roots(roots.points[kept], roots.normals[kept])


def hair(image: np.ndarray, alpha: np.ndarray, rng: Generator) -> np.ndarray:
    """Long strands: locks for mass, hairs upon them, and single ones that fly."""
    roots, size = outline(alpha), float(max(alpha.shape))
    roots = upper(roots, rng) if rng.random() < 0.5 else some(roots, rng)
    length = size * np.exp(rng.uniform(np.log(0.03), np.log(0.22)))
    comb = rng.normal(0, 0.6, 2) + np.array([0, rng.choice((0.0, 0.8, 1.8, -0.8))])
    width = np.exp(rng.uniform(np.log(0.3), np.log(1.2)))
    shared = {
        "comb": (float(comb[0]), float(comb[1])),
        "wander": rng.uniform(0.1, 0.7),
        "bend": rng.uniform(0, 0.5),
        "curl": rng.choice((0.0, 0.03, 0.12)),
        "depth": rng.uniform(3, 14),
        "shade": rng.uniform(0.08, 0.35),
    }
    drawing = Drawing(alpha.shape)
    dense = rng.uniform(0.4, 2.5) * len(roots.points)  # hairs for each pixel of the outline
    clump, clumped = int(rng.integers(3, 25)), rng.uniform(0, 0.8)
    locks = Style(0.5 * length, 3 * width, clump=3, **shared)
    hairs = Style(length, width, clump=clump, clumped=clumped, **shared)
    flying = Style(1.3 * length, 0.6 * width, spread=0.5, clumped=0, flyaway=1, **shared)
    for count, style in ((0.06 * dense, locks), (dense, hairs), (0.06 * dense, flying)):
        draw_strands(drawing, image, roots, int(min(count, 2500)) + 2, style, rng)
    thin = rng.uniform(0.6, 1) if rng.random() < 0.3 else 1.0
    return over(drawing.layer() * thin, base(image, alpha, rng.uniform(0.8, 3)))


def fur(image: np.ndarray, alpha: np.ndarray, rng: Generator) -> np.ndarray:
    """Short, dense, all round, along the lie of the coat."""
    roots, size = outline(alpha), max(alpha.shape)
    drawing = Drawing(alpha.shape)
    width = np.exp(rng.uniform(np.log(0.3), np.log(1.0)))
    angle = rng.uniform(0, 2 * np.pi)
    lie = rng.uniform(0.2, 1.3)
    style = Style(
        length=size * rng.uniform(0.012, 0.05),
        width=width,
        comb=(float(lie * np.cos(angle)), float(lie * np.sin(angle))),
        spread=rng.uniform(0.15, 0.5),
        bend=rng.uniform(0, 0.4),
        clump=int(rng.integers(3, 16)),
        clumped=rng.uniform(0.2, 0.95),
        depth=rng.uniform(3, 10),
        shade=rng.uniform(0.08, 0.3),
    )
    count = int(min(3000, rng.uniform(1, 3) * len(roots.points))) + 2
    draw_strands(drawing, image, roots, count, style, rng)
    return over(drawing.layer(), base(image, alpha, rng.uniform(0.8, 2.5)))


def draw_strands(
    drawing: Drawing, image: np.ndarray, roots: Roots, count: int, style: Style, rng: Generator
) -> None:
    """Grow strands in the colours of the subject behind their roots, in no order of depth."""
    curves = grow(roots, count, style, rng)
    inward = unit(curves[:, 0] - curves[:, 2]) * 4
    colours = shaded(colours_at(image, curves[:, 0] + inward), style.shade, rng)
    widths = style.width * rng.uniform(0.6, 1.4, count)
    order = rng.permutation(count)
    drawing.curves(curves[order], widths[order], colours[order])


def leaves(image: np.ndarray, alpha: np.ndarray, rng: Generator) -> np.ndarray:
    """Twigs with leaves, or shafts with barbs (feathers), standing out of the subject."""
    roots, size = some(outline(alpha), rng), max(alpha.shape)
    drawing = Drawing(alpha.shape)
    twigs = int(rng.integers(4, 22))
    style = Style(
        size * rng.uniform(0.1, 0.22),
        2.0,
        spread=0.4,
        clumped=0.0,
        bend=0.4,
        depth=8,
        comb=(0.0, float(rng.uniform(-0.8, 0.4))),
    )
    stems = grow(roots, twigs, style, rng)
    feathered = rng.random() < 0.35
    tint = rng.uniform(0, 255, 3) * (0.6, 1, 0.4) if rng.random() < 0.6 else None
    for stem in stems:
        colour = colours_at(image, stem[:1])[0] if tint is None else tint
        colour = np.clip(colour * np.exp(rng.normal(0, 0.2, 3)), 0, 255)
        drawing.curves(
            stem[None], np.array([rng.uniform(1, 3)]), shaded(0.7 * colour[None], 0.1, rng)
        )
        if feathered:
            barbs(drawing, stem, size * rng.uniform(0.02, 0.06), colour, rng)
        else:
            foliage(drawing, stem, size * rng.uniform(0.01, 0.05), colour, rng)
    return over(drawing.layer(), base(image, alpha))


def barbs(
    drawing: Drawing, stem: np.ndarray, reach: float, colour: np.ndarray, rng: Generator
) -> None:
    """Hairs on both sides of a shaft, leaning to its tip, shorter towards both ends."""
    count = int(np.linalg.norm(np.diff(stem, axis=0), axis=1).sum() * rng.uniform(1, 3)) + 8
    at = np.sort(rng.uniform(0.1, 1, count))
    start, along = on_curve(stem, at)
    side = turned(along, np.where(rng.random(count) < 0.5, 1.1, -1.1) + rng.normal(0, 0.15, count))
    length = reach * np.sin(np.pi * np.clip(at, 0, 0.93)) * rng.uniform(0.8, 1.1, count)
    tip = start + side * length[:, None] + along * 0.3 * length[:, None]
    curves = bezier(start, start + side * length[:, None] / 3, tip, tip)
    colours = shaded(np.tile(colour, (count, 1)), 0.12, rng)
    drawing.curves(curves, rng.uniform(0.3, 0.8, count), colours)


def foliage(
    drawing: Drawing, stem: np.ndarray, reach: float, colour: np.ndarray, rng: Generator
) -> None:
    """Pointed leaves along a twig and one at its end."""
    count = int(rng.integers(4, 16))
    start, along = on_curve(stem, np.append(rng.uniform(0.25, 0.98, count - 1), 1.0))
    along = turned(
        along, np.append(rng.choice((-0.9, 0.9), count - 1) + rng.normal(0, 0.3, count - 1), 0)
    )
    length = reach * rng.uniform(0.7, 1.5, (count, 1, 1))
    t = np.linspace(0, 1, 9)
    half = rng.uniform(0.15, 0.4, (count, 1)) * np.sin(np.pi * t**0.8)
    across = turned(along, np.full(count, np.pi / 2))
    outward = np.concatenate([t, t[::-1]])[None, :, None] * along[:, None]
    sideways = np.concatenate([half, -half[:, ::-1]], 1)[..., None] * across[:, None]
    colours = colour * np.exp(rng.normal(0, 0.18, (count, 1)))
    drawing.shapes(start[:, None] + length * (outward + sideways), colours.clip(0, 255))


def on_curve(curve: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points [N, 2] at shares 0-1 of a curve [K, 2], and its direction there."""
    place = at * (len(curve) - 1)
    index = place.astype(int).clip(0, len(curve) - 2)
    step = curve[index + 1] - curve[index]
    return curve[index] + step * (place - index)[:, None], unit(step)

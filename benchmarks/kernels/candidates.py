"""The tiles that a layer is tried with."""

import itertools
from dataclasses import replace
from typing import Any

from serve_app.engines.kernels.depthwise import Depthwise
from serve_app.engines.kernels.expand_depthwise_project import ExpandDepthwiseProject
from serve_app.engines.kernels.pointwise import Pointwise
from serve_app.engines.kernels.tiles import Tile, power_of_two


def candidates(layer: Any) -> list[Tile]:
    if not hasattr(layer, "tile"):
        return []
    own: Tile = layer.tile
    if isinstance(layer, Pointwise):
        before, after = layer.weight.shape
        inners = {min(power_of_two(before), n) for n in (32, 64, 128)}
        shapes = [(32, 4), (64, 4), (128, 4), (128, 8)]
        widths = {min(power_of_two(after), n) for n in (32, 64, 128)}
        return [
            Tile(1, pixels, channels, inner, warps, 3 if before > inner else 1)
            for inner, (pixels, warps), channels in itertools.product(
                sorted(inners)[-2:], shapes, sorted(widths)
            )
        ]
    if isinstance(layer, Depthwise):
        shapes4 = [
            *((8, 8, 32, 4), (4, 8, 32, 2), (4, 8, 32, 4), (8, 8, 16, 2), (8, 16, 32, 8)),
            *((4, 16, 32, 4), (8, 8, 64, 8), (4, 4, 32, 1), (4, 4, 64, 2), (2, 8, 32, 1)),
            *((8, 16, 16, 4), (4, 8, 64, 4)),
        ]
        plain = [Tile(r, c, channels, warps=w) for r, c, channels, w in shapes4]
        if layer.stride > 1:
            return plain
        shapes4 = [(4, 8, 32, 4), (2, 8, 32, 2), (1, 16, 32, 2), (2, 16, 32, 2), (2, 16, 32, 4)]
        shapes4 += [(1, 16, 32, 1), (1, 32, 32, 2), (4, 16, 32, 4)]
        return plain + [Tile(r, c, k, warps=w, pairs=True) for r, c, k, w in shapes4]
    if isinstance(layer, ExpandDepthwiseProject):
        shapes4 = [(8, 8, 32, 4), (8, 16, 32, 8), (8, 16, 16, 4), (8, 8, 16, 4), (4, 16, 32, 4)]
        shapes4 += [(8, 8, 64, 8), (4, 8, 32, 4), (8, 16, 32, 4)]
        return [Tile(r, c, own.channels, i, w, 1) for r, c, i, w in shapes4]
    shapes3 = [(8, 16, 4), (8, 16, 8), (8, 8, 4), (16, 16, 8), (4, 32, 4), (4, 16, 4), (8, 32, 8)]
    return [replace(own, rows=r, columns=c, warps=w) for r, c, w in shapes3]

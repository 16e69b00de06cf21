"""From the network's alpha to the answer's size: solved, refined, cleaned and shaped."""

from dataclasses import dataclass

import cv2
import numpy as np

from serve_app.imaging.band import solve_band
from serve_app.imaging.crop import crop
from serve_app.imaging.dents import fill_dents
from serve_app.imaging.geometry import from_network, shrink
from serve_app.imaging.islands import clear_islands
from serve_app.imaging.matte import clear_doubt, erode, feather, honour_trimap, threshold
from serve_app.imaging.refine import upsample_alpha
from serve_app.imaging.roi import clear_outside, scale_box
from serve_app.imaging.solid import make_solid
from serve_app.imaging.windows import Window
from serve_app.options import Options
from serve_app.types import Array, Box, Prepared


@dataclass(frozen=True, slots=True)
class Mattes:
    """Both uint8 [H, W], of the answer's size. Eroded or feathered, a matte says no more how much
    of a pixel's colour is the subject's.
    """

    seen: Array  # what the photo shows of the subject, cleaned; outside of the `roi`, too
    shaped: Array  # what the answer shows of it: eroded, feathered, made solid as asked for


def mattes(prepared: Prepared, alpha: Array, options: Options) -> Mattes:
    """Bring the network's padded alpha, uint8 [h, w], to the answer's size and clean it."""
    alpha = _in_region(prepared, _sure(prepared, _solved(prepared, alpha, options)), options)
    alpha = threshold(alpha, options.alpha_threshold)
    seen = _bounded(prepared, alpha)
    shaped = feather(erode(alpha, options.erode), options.feather)
    if not options.semitransparency:
        shaped = make_solid(shaped)
    shaped = seen if shaped is alpha else _bounded(prepared, shaped)
    return Mattes(seen, clear_outside(shaped, prepared.roi))


def _bounded(prepared: Prepared, alpha: Array) -> Array:
    """Put in what the given trimap knows; what the file itself makes translucent stays so."""
    alpha = honour_trimap(alpha, prepared.known)
    if prepared.source.alpha is None:
        return alpha
    # No product: the network saw the file on white, so a soft edge of its own is soft in both.
    return np.asarray(cv2.min(alpha, prepared.source.alpha), np.uint8)


def _sure(prepared: Prepared, alpha: Array) -> Array:
    """Clear what is nothing but the network's doubt, within the region of interest.

    Where a trimap is given, whoever made it has said where there is something and what is solid.
    """
    rows, columns = _roi_of_network(prepared)
    part = clear_doubt(alpha[rows, columns])
    if prepared.known is None:
        part = fill_dents(clear_islands(part))
    if part.shape == alpha.shape:
        return part
    out = alpha.copy()
    out[rows, columns] = part
    return out


def _roi_of_network(prepared: Prepared) -> Window:
    """The region of interest in the network's pixels."""
    region, roi = prepared.region, prepared.roi
    within = Box(roi.top - region.top, roi.left - region.left, roi.height, roi.width)
    box = scale_box(within, (region.height, region.width), prepared.geometry.network)
    return slice(box.top, box.top + box.height), slice(box.left, box.left + box.width)


def _solved(prepared: Prepared, alpha: Array, options: Options) -> Array:
    """Take the padding off; where a trimap tells what surrounds it, solve its unknown band."""
    alpha = from_network(alpha, prepared.geometry)
    if prepared.known is None or options.refine == "none":
        return alpha
    image, trimap = (from_network(a, prepared.geometry) for a in (prepared.rgb, prepared.trimap))
    return solve_band(alpha, image, trimap)


def _in_region(prepared: Prepared, alpha: Array, options: Options) -> Array:
    """Bring the alpha of the region that the network saw to the answer's size; 0 outside of it."""
    region = prepared.region
    size = (region.height, region.width)
    if size[0] < alpha.shape[0] or size[1] < alpha.shape[1]:
        alpha = shrink(alpha, size)
    else:
        (guide,) = crop([prepared.source.image], region)
        alpha = upsample_alpha(alpha, guide, size, options.refine, _seen_by_network(prepared))
    if size == prepared.source.size:
        return alpha
    out = np.zeros(prepared.source.size, np.uint8)
    out[region.top : region.top + size[0], region.left : region.left + size[1]] = alpha
    return out


def _seen_by_network(prepared: Prepared) -> Array | None:
    """The answer's own region as the network saw it, where that is the same picture."""
    if prepared.source.alpha is not None or prepared.source.size != prepared.original:
        return None
    return from_network(prepared.rgb, prepared.geometry)

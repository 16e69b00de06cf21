"""From the network's alpha to the file that was asked for: refine, clean, colour, place, encode."""

import cv2
import numpy as np

from serve_app.imaging.background import WHITE, blurred_background, composite, parse_color
from serve_app.imaging.band import solve_band
from serve_app.imaging.crop import crop, crop_box, parse_margin
from serve_app.imaging.dents import fill_dents
from serve_app.imaging.encode import Format, encode_cutout, encode_image, encode_zip
from serve_app.imaging.foreground import estimate_foreground
from serve_app.imaging.geometry import from_network, shrink
from serve_app.imaging.islands import clear_islands
from serve_app.imaging.matte import (
    bounding_box,
    clear_doubt,
    erode,
    feather,
    honour_trimap,
    threshold,
    trimap_of,
)
from serve_app.imaging.placement import Placement, parse_placement, place, target_box
from serve_app.imaging.refine import upsample_alpha
from serve_app.imaging.roi import clear_outside, scale_box
from serve_app.imaging.shadow import cast_shadow, lay_under
from serve_app.imaging.solid import make_solid
from serve_app.imaging.windows import Window
from serve_app.options import Options
from serve_app.timing import timed
from serve_app.types import Array, Box, Prediction, Prepared, Result, Source

MEDIA_TYPES: dict[Format, str] = {
    "png": "image/png",
    "webp": "image/webp",
    "jpeg": "image/jpeg",
    "zip": "application/zip",
}


def finish(prepared: Prepared, prediction: Prediction, options: Options) -> Result:
    """Turn the network's alpha into the file that was asked for.

    Raises:
        InvalidOption: the format cannot hold the image.
    """
    timings = {**prepared.timings, **prediction.timings}
    source = prepared.source
    with timed(timings, "post"):
        seen, matte = _alphas(prepared, prediction.alpha, options)
        color = source.image
        if options.decontaminate and options.output in ("cutout", "composite"):
            color = estimate_foreground(color, _share(source, seen), matte)
        color, alpha, subject = _placed(color, matte, options)
        if options.shadow != "none" and options.output in ("cutout", "composite"):
            shadow = cast_shadow(alpha, subject, options.shadow)
            color, alpha = lay_under(color, alpha, shadow, options.shadow_opacity)
        box = Box(0, 0, *source.size)
        if options.crop and subject.width:
            box = crop_box(bounding_box(alpha), parse_margin(options.margin), source.size)
        image = _picture(prepared, color, alpha, options, clear_outside(seen, prepared.roi))
        color, alpha, image = crop([color, alpha, image], box)
    format: Format = "png" if options.format == "auto" else options.format
    with timed(timings, "encode"):
        if format == "zip":
            body = encode_zip(color, alpha, options.quality, source.dpi)
        elif options.output == "cutout" and format != "jpeg":
            body = encode_cutout(color, alpha, format, options.quality, source.dpi)
        else:
            body = encode_image(image, format, options.quality, source.dpi)
    return Result(
        body=body,
        media_type=MEDIA_TYPES[format],
        size=(box.height, box.width),
        original=prepared.original,
        foreground=_within(subject, box),
        model=prediction.model,
        batch_size=prediction.batch_size,
        timings=timings,
    )


def full_alpha(prepared: Prepared, alpha: Array, options: Options) -> Array:
    """Bring the network's padded alpha to the answer's size and clean it: uint8 [H, W]."""
    return _alphas(prepared, alpha, options)[1]


def _alphas(prepared: Prepared, alpha: Array, options: Options) -> tuple[Array, Array]:
    """Return what the photo shows of the subject, cleaned, and the matte that is made of it.

    Eroded or feathered, a matte says no more how much of a pixel's colour is the subject's.
    """
    alpha = _in_region(prepared, _sure(prepared, _solved(prepared, alpha, options)), options)
    alpha = threshold(alpha, options.alpha_threshold)
    seen = _bounded(prepared, alpha)
    matte = feather(erode(alpha, options.erode), options.feather)
    if not options.semitransparency:
        matte = make_solid(matte)
    matte = seen if matte is alpha else _bounded(prepared, matte)
    return seen, clear_outside(matte, prepared.roi)


def _bounded(prepared: Prepared, alpha: Array) -> Array:
    """Put in what the given trimap knows; what the file itself makes translucent stays so."""
    alpha = honour_trimap(alpha, prepared.known)
    if prepared.source.alpha is None:
        return alpha
    # No product: the network saw the file on white, so a soft edge of its own is soft in both.
    return np.asarray(cv2.min(alpha, prepared.source.alpha), np.uint8)


def _share(source: Source, seen: Array) -> Array:
    """How much of each pixel's colour is the subject's; all of it where the file says 'straight'.

    Under an alpha of the file's own there is no background left to take out.
    """
    if source.alpha is None:
        return seen
    straight = (source.alpha < 255) & (seen > 0)
    return np.where(straight, np.uint8(255), seen)


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


def _placed(color: Array, alpha: Array, options: Options) -> tuple[Array, Array, Box]:
    """Move and scale the subject as asked; its box comes with it."""
    subject = bounding_box(alpha)
    placement = parse_placement(options.scale, options.position)
    if placement == Placement() or not subject.width:
        return color, alpha, subject
    target = target_box(subject, placement, alpha.shape)
    return *place(color, alpha, subject, target), target


def _picture(
    prepared: Prepared, color: Array, alpha: Array, options: Options, seen: Array
) -> Array:
    """What `output` asks for, before cropping: [H, W], [H, W, 3] or [H, W, 4]."""
    match options.output:
        case "alpha":
            return alpha
        case "trimap":
            return trimap_of(alpha)
        case "cutout":
            return composite(color, alpha, WHITE) if options.format == "jpeg" else color
        case "composite":
            return _on_background(prepared, color, alpha, options, seen)


def _on_background(
    prepared: Prepared, color: Array, alpha: Array, options: Options, seen: Array
) -> Array:
    if prepared.background is not None:
        return composite(color, alpha, prepared.background)
    if options.background == "blur":
        return composite(color, alpha, blurred_background(prepared.source.image, seen))
    image = composite(color, alpha, parse_color(options.background))
    if image.shape[2] == 4 and options.format == "jpeg":
        return composite(image[..., :3], image[..., 3], WHITE)
    return image


def _within(subject: Box, box: Box) -> Box:
    """The subject's place in the cropped picture."""
    if not subject.width:
        return subject
    return Box(subject.top - box.top, subject.left - box.left, subject.height, subject.width)

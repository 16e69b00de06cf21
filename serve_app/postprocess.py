"""From the network's alpha to the file that was asked for: matte, colour, place, encode."""

import numpy as np

from serve_app.imaging.background import WHITE, blurred_background, composite, parse_color
from serve_app.imaging.crop import crop, crop_box, parse_margin
from serve_app.imaging.encode import Format, encode_cutout, encode_image, encode_zip
from serve_app.imaging.foreground import estimate_foreground
from serve_app.imaging.matte import bounding_box, trimap_of
from serve_app.imaging.placement import Placement, parse_placement, place, target_box
from serve_app.imaging.roi import clear_outside
from serve_app.imaging.shadow import cast_shadow, lay_under
from serve_app.mattes import mattes
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
        both = mattes(prepared, prediction.alpha, options)
        color = source.image
        if options.decontaminate and options.output in ("cutout", "composite"):
            color = estimate_foreground(color, _share(source, both.seen), both.shaped)
        color, alpha, subject = _placed(color, both.shaped, options)
        if options.shadow != "none" and options.output in ("cutout", "composite"):
            shadow = cast_shadow(alpha, subject, options.shadow)
            color, alpha = lay_under(color, alpha, shadow, options.shadow_opacity)
        box = Box(0, 0, *source.size)
        if options.crop and subject.width:
            box = crop_box(bounding_box(alpha), parse_margin(options.margin), source.size)
        image = _picture(prepared, color, alpha, options, clear_outside(both.seen, prepared.roi))
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


def _share(source: Source, seen: Array) -> Array:
    """How much of each pixel's colour is the subject's; all of it where the file says 'straight'.

    Under an alpha of the file's own there is no background left to take out.
    """
    if source.alpha is None:
        return seen
    straight = (source.alpha < 255) & (seen > 0)
    return np.where(straight, np.uint8(255), seen)


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

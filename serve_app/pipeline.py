"""The way of an image, top to bottom: upload -> prepare -> predict -> finish -> result.

`prepare` and `finish` are what the Preprocess and Postprocess replicas run; `Pipeline` runs all of
it in one process. Answers online and offline are therefore the same to the pixel.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import numpy as np

from serve_app.batching import BatchItem, predict_all
from serve_app.engines.base import Engine
from serve_app.errors import InvalidImage
from serve_app.imaging.background import Color, blurred_background, composite, parse_color
from serve_app.imaging.crop import crop, crop_box, parse_margin
from serve_app.imaging.decode import decode
from serve_app.imaging.encode import Format, encode_cutout, encode_image, encode_zip
from serve_app.imaging.foreground import estimate_foreground
from serve_app.imaging.geometry import from_network, plan, shrink, to_network
from serve_app.imaging.matte import (
    bounding_box,
    erode,
    feather,
    honour_trimap,
    threshold,
    trimap_of,
)
from serve_app.imaging.placement import Placement, parse_placement, place, target_box
from serve_app.imaging.refine import upsample_alpha
from serve_app.imaging.roi import clear_outside, parse_roi, roi_box, scale_box
from serve_app.imaging.shadow import cast_shadow, lay_under
from serve_app.imaging.solid import make_solid
from serve_app.options import Options
from serve_app.settings import Limits
from serve_app.types import (
    UNKNOWN,
    Array,
    Box,
    Geometry,
    Prediction,
    Prepared,
    Result,
    Size,
    Source,
    Upload,
)

WHITE: Color = (255, 255, 255, 255)

MEDIA_TYPES: dict[Format, str] = {
    "png": "image/png",
    "webp": "image/webp",
    "jpeg": "image/jpeg",
    "zip": "application/zip",
}


class Pipeline:
    """All stages in one process: the command line, bulk work, benchmarks and most tests."""

    def __init__(self, engine: Engine, limits: Limits, bucket_step: int) -> None:
        self._engine = engine
        self._limits = limits
        self._bucket_step = bucket_step

    def run(self, upload: Upload, options: Options) -> Result:
        """Matte one image.

        Raises:
            InputError: the upload or the options are at fault.
        """
        prepared, prediction = self._predict(upload, options)
        return finish(prepared, prediction, options)

    def alpha(self, upload: Upload, options: Options) -> Array:
        """The matte alone, uint8 [H, W] at the answer's size, before cropping and encoding."""
        prepared, prediction = self._predict(upload, options)
        return full_alpha(prepared, prediction.alpha, options)

    def _predict(self, upload: Upload, options: Options) -> tuple[Prepared, Prediction]:
        prepared = prepare(upload, options, self._limits, self._bucket_step)
        (answer,) = predict_all(self._engine, [BatchItem(prepared.rgb, prepared.trimap)])
        if isinstance(answer, Exception):
            raise answer
        return prepared, answer


def prepare(upload: Upload, options: Options, limits: Limits, bucket_step: int) -> Prepared:
    """Decode the upload once and bring it to the shape that the network takes.

    Raises:
        InputError: a file is not an image, is over a limit, or doesn't fit the others.
    """
    timings: dict[str, float] = {}
    with timed(timings, "decode"):
        source = decode(upload.image, limits)
        region = roi_box(parse_roi(options.roi), source.size)
        geometry = plan((region.height, region.width), options.max_side, bucket_step)
        known = _read_trimap(upload.trimap, source.size, limits) if upload.trimap else None
        if known is None:
            trimap = np.full(geometry.padded, UNKNOWN, np.uint8)
        else:
            trimap = to_network(crop([known], region)[0], geometry)
        rgb = to_network(crop([_over_white(source)], region)[0], geometry)
        whole = plan(source.size, options.max_side, bucket_step)
        size = options.output_size(source.size, whole.network)
        background = decode(upload.background_image, limits) if upload.background_image else None
        return Prepared(
            source=_scaled(source, size),
            rgb=rgb,
            trimap=trimap,
            known=None if known is None else to_network(known, Geometry(source.size, size, size)),
            background=None if background is None else _over_white(background),
            geometry=geometry,
            original=source.size,
            region=scale_box(region, source.size, size),
            timings=timings,
        )


def finish(prepared: Prepared, prediction: Prediction, options: Options) -> Result:
    """Turn the network's alpha into the file that was asked for.

    Raises:
        InvalidOption: the format cannot hold the image.
    """
    timings = {**prepared.timings, **prediction.timings}
    source = prepared.source
    with timed(timings, "post"):
        matte = full_alpha(prepared, prediction.alpha, options)
        color = source.image
        if options.decontaminate and options.output in ("cutout", "composite"):
            color = estimate_foreground(color, matte)
        color, alpha, subject = _placed(color, matte, options)
        if options.shadow != "none" and options.output in ("cutout", "composite"):
            shadow = cast_shadow(alpha, subject, options.shadow)
            color, alpha = lay_under(color, alpha, shadow, options.shadow_opacity)
        box = Box(0, 0, *source.size)
        if options.crop and subject.width:
            box = crop_box(bounding_box(alpha), parse_margin(options.margin), source.size)
        image = _picture(prepared, color, alpha, options, matte)
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
    alpha = _in_region(prepared, from_network(alpha, prepared.geometry), options)
    alpha = threshold(alpha, options.alpha_threshold)
    alpha = erode(alpha, options.erode)
    alpha = feather(alpha, options.feather)
    if not options.semitransparency:
        alpha = make_solid(alpha)
    alpha = honour_trimap(alpha, prepared.known)
    if prepared.source.alpha is not None:
        alpha = np.asarray(cv2.multiply(alpha, prepared.source.alpha, scale=1 / 255), np.uint8)
    return clear_outside(alpha, prepared.region)


def _in_region(prepared: Prepared, alpha: Array, options: Options) -> Array:
    """Bring the alpha of the region that the network saw to the answer's size; 0 outside of it."""
    region = prepared.region
    size = (region.height, region.width)
    if size[0] < alpha.shape[0] or size[1] < alpha.shape[1]:
        alpha = shrink(alpha, size)
    else:
        (guide,) = crop([prepared.source.image], region)
        alpha = upsample_alpha(alpha, guide, size, options.refine)
    if size == prepared.source.size:
        return alpha
    out = np.zeros(prepared.source.size, np.uint8)
    out[region.top : region.top + size[0], region.left : region.left + size[1]] = alpha
    return out


def _placed(color: Array, alpha: Array, options: Options) -> tuple[Array, Array, Box]:
    """Move and scale the subject as asked; its box comes with it."""
    subject = bounding_box(alpha)
    placement = parse_placement(options.scale, options.position)
    if placement == Placement() or not subject.width:
        return color, alpha, subject
    target = target_box(subject, placement, alpha.shape)
    return *place(color, alpha, subject, target), target


@contextmanager
def timed(timings: dict[str, float], stage: str) -> Iterator[None]:
    """Note how long a stage took, in ms."""
    start = time.perf_counter()
    try:
        yield
    finally:
        timings[stage] = (time.perf_counter() - start) * 1000


def _picture(
    prepared: Prepared, color: Array, alpha: Array, options: Options, matte: Array
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
            return _on_background(prepared, color, alpha, options, matte)


def _on_background(
    prepared: Prepared, color: Array, alpha: Array, options: Options, matte: Array
) -> Array:
    if prepared.background is not None:
        return composite(color, alpha, prepared.background)
    if options.background == "blur":
        return composite(color, alpha, blurred_background(prepared.source.image, matte))
    image = composite(color, alpha, parse_color(options.background))
    if image.shape[2] == 4 and options.format == "jpeg":
        return composite(image[..., :3], image[..., 3], WHITE)
    return image


def _over_white(source: Source) -> Array:
    return source.image if source.alpha is None else composite(source.image, source.alpha, WHITE)


def _read_trimap(data: bytes, size: Size, limits: Limits) -> Array:
    source = decode(data, limits)
    if source.size != size:
        raise InvalidImage(
            f"trimap is {source.size[1]}x{source.size[0]} px and the image "
            f"{size[1]}x{size[0]} px (upright): they must be of one size"
        )
    return np.asarray(cv2.cvtColor(source.image, cv2.COLOR_RGB2GRAY), np.uint8)


def _scaled(source: Source, size: Size) -> Source:
    if source.size == size:
        return source
    alpha = None if source.alpha is None else shrink(source.alpha, size)
    return Source(shrink(source.image, size), alpha, source.dpi)


def _within(subject: Box, box: Box) -> Box:
    """The subject's place in the cropped picture."""
    if not subject.width:
        return subject
    return Box(subject.top - box.top, subject.left - box.left, subject.height, subject.width)

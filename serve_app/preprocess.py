"""From an upload to what the network takes: decode once, choose the region, scale, pad."""

import cv2
import numpy as np

from serve_app.errors import InvalidImage
from serve_app.imaging.background import WHITE, composite, take_off_white
from serve_app.imaging.crop import crop
from serve_app.imaging.decode import Decode, decode
from serve_app.imaging.geometry import plan, shrink, to_network
from serve_app.imaging.roi import parse_roi, roi_box, scale_box, with_context
from serve_app.options import Options
from serve_app.settings import Limits
from serve_app.timing import timed
from serve_app.types import UNKNOWN, Array, Geometry, Prepared, Size, Source, Upload


def prepare(
    upload: Upload,
    options: Options,
    limits: Limits,
    bucket_step: int,
    decode: Decode = decode,
) -> Prepared:
    """Decode the upload once and bring it to the shape that the network takes.

    Raises:
        InputError: a file is not an image, is over a limit, or doesn't fit the others.
        ServiceError: `decode` was stopped.
    """
    timings: dict[str, float] = {}
    with timed(timings, "decode"):
        source = decode(upload.image, limits)
        roi = roi_box(parse_roi(options.roi), source.size)
        region = with_context(roi, source.size)
        geometry = plan((region.height, region.width), options.max_side, bucket_step)
        known = _read_trimap(decode(upload.trimap, limits), source.size) if upload.trimap else None
        if known is None:
            trimap = np.full(geometry.padded, UNKNOWN, np.uint8)
        else:
            trimap = to_network(crop([known], region)[0], geometry)
        over_white = _over_white(source)
        rgb = to_network(crop([over_white], region)[0], geometry)
        whole = plan(source.size, options.max_side, bucket_step)
        size = options.output_size(source.size, whole.network)
        background = decode(upload.background_image, limits) if upload.background_image else None
        return Prepared(
            source=_scaled(source, over_white, size),
            rgb=rgb,
            trimap=trimap,
            known=None if known is None else to_network(known, Geometry(source.size, size, size)),
            background=None if background is None else _over_white(background),
            geometry=geometry,
            original=source.size,
            region=scale_box(region, source.size, size),
            roi=scale_box(roi, source.size, size),
            timings=timings,
        )


def _over_white(source: Source) -> Array:
    return source.image if source.alpha is None else composite(source.image, source.alpha, WHITE)


def _read_trimap(source: Source, size: Size) -> Array:
    if source.size != size:
        raise InvalidImage(
            f"trimap is {source.size[1]}x{source.size[0]} px and the image "
            f"{size[1]}x{size[0]} px (upright): they must be of one size"
        )
    return np.asarray(cv2.cvtColor(source.image, cv2.COLOR_RGB2GRAY), np.uint8)


def _scaled(source: Source, over_white: Array, size: Size) -> Source:
    if source.size == size:
        return source
    image = shrink(over_white, size)
    if source.alpha is None:
        return Source(image, None, source.dpi)
    alpha = shrink(source.alpha, size)
    return Source(take_off_white(image, alpha), alpha, source.dpi)

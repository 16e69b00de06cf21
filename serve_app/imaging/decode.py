"""A file's bytes to one upright sRGB image: the only place where uploads are decoded."""

import math
from collections.abc import Callable
from typing import TypeAlias

import cv2
import numpy as np
from PIL import Image

from serve_app.errors import InvalidImage, MattingError
from serve_app.imaging.color import apply_profile, to_srgb
from serve_app.imaging.header import check_size, open_image, read_error
from serve_app.imaging.orientation import orientation_of, upright
from serve_app.imaging.sniff import sniff
from serve_app.settings import Limits
from serve_app.types import Array, Source

Decode: TypeAlias = Callable[[bytes, Limits], Source]
"""`decode` itself, or `IsolatedDecoder` where strangers' files come in."""

_DPI = (1.0, 20_000.0)  # what a device can have; anything else is a broken header


def decode(data: bytes, limits: Limits) -> Source:
    """Decode the first frame of an image file.

    EXIF orientation and ICC profile are applied where they can be read and ignored where not.
    Raises InvalidImage, UnsupportedFormat, FileTooLarge, ImageTooLarge; nothing else, whatever
    the bytes.
    """
    try:
        with open_image(data, limits) as image:
            return _decode(image, data, limits)
    except MattingError:
        raise
    except Exception as exc:  # what Pillow raises for a broken file has no common base
        raise read_error(exc, sniff(data)) from exc


def _decode(image: Image.Image, data: bytes, limits: Limits) -> Source:
    if image.format in ("JPEG", "MPO") and image.mode in ("RGB", "L"):
        rgb, alpha = _decode_jpeg(image, data), None
    else:
        image.load()
        check_size(*image.size, limits)  # a decoder may find another size than its header's
        rgb, alpha = to_srgb(image)
    turn = orientation_of(image)
    dpi = _dpi(image)
    if turn >= 5 and dpi is not None:
        dpi = dpi[::-1]
    return Source(upright(rgb, turn), None if alpha is None else upright(alpha, turn), dpi)


def _decode_jpeg(image: Image.Image, data: bytes) -> Array:
    # The same libjpeg-turbo as Pillow's and the same pixels, in half the time: straight into the
    # array. It refuses truncated files as Pillow does.
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    rgb = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if rgb is None or rgb.shape[1::-1] != image.size:
        raise InvalidImage("the JPEG is truncated or corrupt: send a whole, valid file")
    return apply_profile(np.asarray(rgb, np.uint8), image.info.get("icc_profile"))


def _dpi(image: Image.Image) -> tuple[float, float] | None:
    try:
        across, down = (float(value) for value in image.info.get("dpi", ()))
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    low, high = _DPI
    if not all(math.isfinite(value) and low <= value <= high for value in (across, down)):
        return None
    return across, down

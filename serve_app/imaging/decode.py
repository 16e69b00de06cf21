"""A file's bytes to one upright sRGB image: the only place where uploads are decoded."""

import math

from PIL import Image

from serve_app.errors import MattingError
from serve_app.imaging.color import to_srgb
from serve_app.imaging.header import check_size, open_image, read_error
from serve_app.imaging.orientation import orientation_of, upright
from serve_app.imaging.sniff import sniff
from serve_app.settings import Limits
from serve_app.types import Source

_DPI = (1.0, 20_000.0)  # what a device can have; anything else is a broken header


def decode(data: bytes, limits: Limits) -> Source:
    """Decode the first frame of an image file.

    EXIF orientation and ICC profile are applied where they can be read and ignored where not.
    Raises InvalidImage, UnsupportedFormat, FileTooLarge, ImageTooLarge; nothing else, whatever
    the bytes.
    """
    try:
        with open_image(data, limits) as image:
            image.load()
            check_size(*image.size, limits)  # a decoder may find another size than its header's
            rgb, alpha = to_srgb(image)
            turn = orientation_of(image)
            dpi = _dpi(image)
    except MattingError:
        raise
    except Exception as exc:  # what Pillow raises for a broken file has no common base
        raise read_error(exc, sniff(data)) from exc
    if turn >= 5 and dpi is not None:
        dpi = dpi[::-1]
    return Source(upright(rgb, turn), None if alpha is None else upright(alpha, turn), dpi)


def _dpi(image: Image.Image) -> tuple[float, float] | None:
    try:
        across, down = (float(value) for value in image.info.get("dpi", ()))
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    low, high = _DPI
    if not all(math.isfinite(value) and low <= value <= high for value in (across, down)):
        return None
    return across, down

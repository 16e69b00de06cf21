"""What a file's header says, judged against the limits before anything is decoded."""

import io
import re
from dataclasses import dataclass

from PIL import Image, UnidentifiedImageError

from serve_app.errors import FileTooLarge, ImageTooLarge, InputError, InvalidImage, SideTooLong
from serve_app.imaging.sniff import Format, sniff
from serve_app.settings import Limits

_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9

# A marker is FF and a code. FF 00 is data, FF FF is filling, FF D0-D7 restart within a scan
# (ITU T.81, B.1.1.2).
_JPEG_MARKER = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])")


@dataclass(frozen=True, slots=True)
class Header:
    """A file's format and size; the sides are before EXIF orientation, a TIFF's after it."""

    format: Format
    height: int
    width: int


def read_header(data: bytes, limits: Limits) -> Header:
    """Read the header of an image file and judge it against `limits`; decodes nothing.

    Raises InvalidImage (empty, corrupt, too many JPEG scans), UnsupportedFormat, FileTooLarge,
    ImageTooLarge.
    """
    with open_image(data, limits) as image:
        width, height = image.size
    return Header(sniff(data), height, width)


def open_image(data: bytes, limits: Limits) -> Image.Image:
    """Open a file that is within `limits`; its pixels are still to be decoded. Raises as above."""
    if len(data) > limits.max_bytes:
        raise FileTooLarge(
            f"the file has {len(data)} bytes, the limit is {limits.max_bytes}: send a smaller one"
        )
    format = sniff(data)
    if format == "JPEG":
        _check_scans(data, limits.max_jpeg_scans)
    try:
        image = Image.open(io.BytesIO(data), formats=[format])
    except Exception as exc:  # what Pillow raises for a broken file has no common base
        raise read_error(exc, format) from exc
    check_size(*image.size, limits)
    return image


def check_size(width: int, height: int, limits: Limits) -> None:
    """Raise ImageTooLarge if an image of `width` x `height` is over a limit."""
    if max(width, height) > limits.max_edge:
        raise SideTooLong(
            f"{width}x{height} px: a side may have at most {limits.max_edge} px; scale it down"
        )
    if width * height > limits.max_pixels:
        raise ImageTooLarge(
            f"{width}x{height} px is {width * height / 1e6:.1f} megapixels, the limit is "
            f"{limits.max_pixels / 1e6:g}; scale it down"
        )


def read_error(exc: Exception, format: Format) -> InputError:
    """Say what an exception of the decoder means to the sender."""
    if isinstance(exc, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return ImageTooLarge(f"the {format} has too many pixels: scale it down")
    if isinstance(exc, UnidentifiedImageError):
        return InvalidImage(f"the {format} has no readable header: send a whole, valid file")
    if isinstance(exc, MemoryError):
        return ImageTooLarge(
            f"the {format} takes more memory to decode than its size lets expect: save it again as "
            "a plain JPEG or PNG, or scale it down"
        )
    return InvalidImage(f"the {format} is truncated or corrupt: send a whole, valid file")


def count_scans(data: bytes, most: int) -> int:
    """Count the scans of a JPEG by its SOS markers, without decoding; stops above `most`."""
    count, position = 0, 2
    while count <= most and (marker := _JPEG_MARKER.search(data, position)):
        code, position = marker[1][0], marker.end()
        if code == _END_OF_IMAGE:
            break
        count += code == _START_OF_SCAN
        position += max(2, int.from_bytes(data[position : position + 2], "big"))
    return count


def _check_scans(data: bytes, most: int) -> None:
    # Each scan of a progressive JPEG goes over the whole image, so a small file can cost minutes.
    if count_scans(data, most) > most:
        raise InvalidImage(
            f"the JPEG has more than {most} scans: save it again as a plain or progressive JPEG"
        )

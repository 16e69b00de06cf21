"""Arrays to files: PNG, WebP, JPEG, and a ZIP of colour and alpha.

Everything written is sRGB and carries no metadata but its resolution.
"""

import io
import struct
import zipfile
from typing import Literal, TypeAlias

import cv2
import numpy as np
from PIL import ExifTags, Image

from serve_app.errors import InvalidOption
from serve_app.imaging.png import write_png
from serve_app.types import Array

Format: TypeAlias = Literal["png", "webp", "jpeg", "zip"]
Dpi: TypeAlias = tuple[float, float] | None  # horizontal, vertical

QUALITY = 90
"""Quality of a JPEG where none is asked for."""

_FULL_CHROMA = 90
"""JPEG quality from which colour is not halved: at that price, no edge may bleed."""

_MAX_SIDE = {"webp": 16_383, "jpeg": 65_500}  # px; RFC 9649 section 2, libjpeg


def encode_cutout(
    rgb: Array, alpha: Array, format: Format, quality: int | None = None, dpi: Dpi = None
) -> bytes:
    """Encode a cutout: colour `[H, W, 3]` under straight `alpha` `[H, W]`, both uint8 sRGB.

    Colour under alpha 0 becomes 0: it makes a PNG a third of the size and hides what was cut out.
    A ZIP's `color.jpg` keeps it. `quality` 1-100; WebP is lossless without it. Raises
    InvalidOption for JPEG, which holds no alpha, and for sides that the format cannot hold.
    """
    if format == "zip":
        return encode_zip(rgb, alpha, quality, dpi)
    rgba = cv2.cvtColor(rgb, cv2.COLOR_RGB2RGBA)
    cv2.insertChannel(alpha, rgba, 3)
    return encode_image(np.asarray(cv2.copyTo(rgba, alpha), np.uint8), format, quality, dpi)


def encode_image(
    image: Array, format: Format, quality: int | None = None, dpi: Dpi = None
) -> bytes:
    """Encode a matte `[H, W]`, a picture `[H, W, 3]` or a translucent one `[H, W, 4]`, uint8 sRGB.

    `quality` 1-100; WebP is lossless without it. Raises InvalidOption for a JPEG of 4 channels
    (put a background in first), for a ZIP, and for sides that the format cannot hold.
    """
    _check_sides(image, format)
    match format:
        case "png":
            return write_png(image, dpi)
        case "webp":
            return _webp(image, quality, dpi)
        case "jpeg":
            return _jpeg(image, QUALITY if quality is None else quality, dpi)
    raise InvalidOption(f"format {format!r} holds only cutouts: choose png, webp or jpeg")


def encode_zip(rgb: Array, alpha: Array, quality: int | None = None, dpi: Dpi = None) -> bytes:
    """Pack `color.jpg` and `alpha.png` (8-bit grey), of equal size, into a ZIP."""
    files = {
        "color.jpg": encode_image(rgb, "jpeg", quality, dpi),
        "alpha.png": encode_image(alpha, "png", None, dpi),
    }
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_STORED) as archive:
        for name, data in files.items():
            # A fixed date: the same image gives the same bytes.
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data)
    return body.getvalue()


def _check_sides(image: Array, format: Format) -> None:
    height, width = image.shape[:2]
    most = _MAX_SIDE.get(format, max(height, width))
    if max(height, width) > most:
        raise InvalidOption(
            f"{width}x{height} px: {format} holds at most {most} px a side; choose png or a "
            "smaller size"
        )


def _webp(image: Array, quality: int | None, dpi: Dpi) -> bytes:
    body = io.BytesIO()
    exif = Image.Exif()
    if dpi is not None:
        exif[ExifTags.Base.XResolution], exif[ExifTags.Base.YResolution] = dpi
        exif[ExifTags.Base.ResolutionUnit] = 2  # inch
    # The least effort in both: the next step of it takes five times as long for a quarter less.
    effort = {"lossless": True, "quality": 0} if quality is None else {"quality": quality}
    Image.fromarray(image).save(
        body, "WEBP", method=0, exif=exif.tobytes() if dpi else b"", **effort
    )
    return body.getvalue()


def _jpeg(image: Array, quality: int, dpi: Dpi) -> bytes:
    if image.ndim == 3 and image.shape[2] == 4:
        raise InvalidOption("jpeg holds no transparency: choose png or webp, or give a background")
    pixels = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    chroma = (
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444
        if quality >= _FULL_CHROMA
        else cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420
    )
    options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, chroma]
    body = cv2.imencode(".jpg", pixels, options)[1].tobytes()
    if dpi is None:
        return body
    # Unit (1: per inch) and density stand at byte 13 of a file that starts with JFIF's APP0.
    density = struct.pack(">BHH", 1, *(round(value) for value in dpi))
    return body[:13] + density + body[18:]

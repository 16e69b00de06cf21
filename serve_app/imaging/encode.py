"""Arrays to files: PNG, WebP, JPEG, and a ZIP of colour and alpha.

Everything written is sRGB and carries no metadata but its resolution.
"""

import io
import struct
import zipfile
import zlib
from typing import Literal, TypeAlias

import cv2
import numpy as np
from PIL import Image

from serve_app.errors import InvalidOption
from serve_app.types import Array

Format: TypeAlias = Literal["png", "webp", "jpeg", "zip"]
Dpi: TypeAlias = tuple[float, float] | None  # horizontal, vertical

QUALITY = 90
"""Quality of a JPEG where none is asked for."""

_WEBP_SIDE = 16_383  # px, RFC 9649 section 2
_JPEG_SIDE = 65_500  # px, libjpeg's own bound


def encode_cutout(
    rgb: Array, alpha: Array, format: Format, quality: int | None = None, dpi: Dpi = None
) -> bytes:
    """Encode a cutout: colour `[H, W, 3]` under straight `alpha` `[H, W]`, both uint8 sRGB.

    Colour under alpha 0 is zeroed, which makes a PNG a third of its size (not in a ZIP, whose
    `color.jpg` keeps it). `quality` 1-100; WebP is lossless without it. Raises InvalidOption for
    JPEG, which holds no alpha, and for sides that the format cannot hold.
    """
    if format == "zip":
        return encode_zip(rgb, alpha, quality, dpi)
    rgba = np.dstack([rgb, alpha])
    rgba[alpha == 0] = 0
    return encode_image(rgba, format, quality, dpi)


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
            return _png(image, dpi)
        case "webp":
            return _webp(image, quality, dpi)
        case "jpeg":
            return _jpeg(image, QUALITY if quality is None else quality, dpi)
    raise InvalidOption(f"format {format!r} holds a cutout only: choose png, webp or jpeg")


def encode_zip(rgb: Array, alpha: Array, quality: int | None = None, dpi: Dpi = None) -> bytes:
    """Pack `color.jpg` and `alpha.png` (8-bit grey), of equal size, into a ZIP."""
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_STORED) as archive:
        for name, data in (
            ("color.jpg", encode_image(rgb, "jpeg", quality, dpi)),
            ("alpha.png", encode_image(alpha, "png", None, dpi)),
        ):
            # A fixed date: the same image gives the same bytes.
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data)
    return body.getvalue()


def _check_sides(image: Array, format: Format) -> None:
    bound = {"webp": _WEBP_SIDE, "jpeg": _JPEG_SIDE}.get(format)
    height, width = image.shape[:2]
    if bound and max(height, width) > bound:
        raise InvalidOption(
            f"{width}x{height} px: {format} holds at most {bound} px a side; choose png or a "
            "smaller size"
        )


def _png(image: Array, dpi: Dpi) -> bytes:
    order = {2: None, 3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}
    kind = order[2 if image.ndim == 2 else image.shape[2]]
    pixels = image if kind is None else cv2.cvtColor(image, kind)
    _, body = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    return _with_dpi(body.tobytes(), dpi)


def _with_dpi(png: bytes, dpi: Dpi) -> bytes:
    """Insert a pHYs chunk (W3C PNG, 11.3.4.3) behind IHDR, which always ends at byte 33."""
    if dpi is None:
        return png
    per_metre = [round(value / 0.0254) for value in dpi]
    chunk = b"pHYs" + struct.pack(">IIB", *per_metre, 1)
    return png[:33] + struct.pack(">I", 9) + chunk + struct.pack(">I", zlib.crc32(chunk)) + png[33:]


def _webp(image: Array, quality: int | None, dpi: Dpi) -> bytes:
    body = io.BytesIO()
    options = {"lossless": True, "quality": 0} if quality is None else {"quality": quality}
    exif = Image.Exif()
    if dpi is not None:
        exif[0x011A], exif[0x011B], exif[0x0128] = dpi[0], dpi[1], 2
    Image.fromarray(image).save(
        body, "WEBP", method=0, exact=False, exif=exif.tobytes() if dpi else b"", **options
    )
    return body.getvalue()


def _jpeg(image: Array, quality: int, dpi: Dpi) -> bytes:
    if image.ndim == 3 and image.shape[2] == 4:
        raise InvalidOption("jpeg holds no transparency: choose png or webp, or give a background")
    body = io.BytesIO()
    Image.fromarray(image).save(body, "JPEG", quality=quality, dpi=dpi or (0, 0))
    return body.getvalue()

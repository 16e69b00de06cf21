"""Every mode that a decoder gives to uint8 sRGB and straight alpha."""

import io
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from serve_app.errors import InvalidImage
from serve_app.types import Array

_WIDE_GREY = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F")
_WITH_ALPHA = ("RGBA", "LA", "PA", "La", "RGBa")


def to_srgb(image: Image.Image) -> tuple[Array, Array | None]:
    """Return a decoded image as `[H, W, 3]` uint8 sRGB and its alpha `[H, W]`, None if opaque.

    Colour under alpha 0 is white. Raises InvalidImage for values that no grey level can be made of.
    """
    rgb, alpha = _split(image)
    if alpha is None or alpha.min() == 255:
        return rgb, None
    rgb[alpha == 0] = 255
    return rgb, alpha


def _split(image: Image.Image) -> tuple[Array, Array | None]:
    if image.mode in _WIDE_GREY:
        return _wide_grey(image)
    profile = image.info.get("icc_profile")
    if image.mode in _WITH_ALPHA or "transparency" in image.info:
        rgba = image.convert("RGBA")
        alpha = np.asarray(rgba.getchannel("A"))
        return _to_rgb(rgba.convert("RGB"), profile), alpha
    if image.mode not in ("L", "CMYK", "LAB"):
        image = image.convert("RGB")
    return _to_rgb(image, profile), None


def _to_rgb(image: Image.Image, profile: bytes | None) -> Array:
    """Convert RGB, L, CMYK or LAB by its ICC profile, or by the plain formula without one."""
    try:
        if image.mode == "LAB":
            image = _convert(image, ImageCms.createProfile("LAB"))
        elif profile:
            image = _convert(image, ImageCms.ImageCmsProfile(io.BytesIO(profile)))
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        pass  # a broken profile, or one of another colour space: the plain formula stands
    return np.array(image.convert("RGB"))


def _convert(image: Image.Image, profile: Any) -> Image.Image:
    srgb = ImageCms.createProfile("sRGB")
    return cast(Image.Image, ImageCms.profileToProfile(image, profile, srgb, outputMode="RGB"))


def _wide_grey(image: Image.Image) -> tuple[Array, Array | None]:
    values = np.asarray(image)
    transparent = image.info.get("transparency")
    alpha = None
    if isinstance(transparent, int):
        alpha = np.where(values == transparent, np.uint8(0), np.uint8(255))
    grey = _to_grey(values.astype(np.float64), sixteen_bit=image.mode.startswith("I;16"))
    return np.repeat(grey[..., None], 3, axis=2), alpha


def _to_grey(values: NDArray[np.float64], sixteen_bit: bool) -> Array:
    """Scale grey values to 0-255: 16-bit by its range, others by the least range that holds them.

    Files of 32-bit or float grey don't say their range: 0-1, 0-255 and 0-65535 are the usual ones,
    whatever lies outside of these is stretched.
    """
    if not np.isfinite(values).all():
        raise InvalidImage("the image holds values that are not finite: save it as 8 or 16 bit")
    low, high = float(values.min()), float(values.max())
    if sixteen_bit:
        low, high = 0.0, 65_535.0
    elif low >= 0 and high <= 65_535:
        low, high = 0.0, next(top for top in (1.0, 255.0, 65_535.0) if high <= top)
    return np.rint((values - low) * (255 / max(high - low, 1e-12))).astype(np.uint8)

"""Every mode that a decoder gives, to uint8 sRGB and straight alpha."""

import io
from typing import Any, cast

import cv2
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
    clear = cv2.threshold(alpha, 0, 255, cv2.THRESH_BINARY_INV)[1]
    unseen = cv2.cvtColor(clear, cv2.COLOR_GRAY2RGB)
    return np.asarray(cv2.bitwise_or(rgb, unseen, dst=rgb), np.uint8), alpha


def apply_profile(rgb: Array, profile: bytes | None) -> Array:
    """Bring colours `[H, W, 3]` from an ICC profile to sRGB; a broken profile is ignored."""
    if not profile:
        return rgb
    return _to_rgb(Image.fromarray(rgb), profile)


def _split(image: Image.Image) -> tuple[Array, Array | None]:
    if image.mode in _WIDE_GREY:
        return _wide_grey(image)
    profile = image.info.get("icc_profile")
    if image.mode in _WITH_ALPHA or "transparency" in image.info:
        rgba = np.asarray(image.convert("RGBA"))
        rgb = np.asarray(cv2.cvtColor(rgba, cv2.COLOR_RGBA2RGB), np.uint8)
        return apply_profile(rgb, profile), np.asarray(cv2.extractChannel(rgba, 3), np.uint8)
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
    transform = ImageCms.buildTransform(profile, srgb, image.mode, "RGB")
    if image.mode == "RGB" and _changes_nothing(transform):
        return image
    return cast(Image.Image, ImageCms.applyTransform(image, transform))


def _changes_nothing(transform: ImageCms.ImageCmsTransform) -> bool:
    """Try a transform on 9 x 9 x 9 colours: most files carry sRGB itself, under many names."""
    levels = np.linspace(0, 255, 9).astype(np.uint8)
    cube = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(27, 27, 3)
    out = np.asarray(ImageCms.applyTransform(Image.fromarray(cube), transform), np.int16)
    return bool(np.abs(out - cube).max() <= 1)


def _wide_grey(image: Image.Image) -> tuple[Array, Array | None]:
    values = np.asarray(image)
    transparent = image.info.get("transparency")
    alpha = None
    if isinstance(transparent, int):
        alpha = np.where(values == transparent, np.uint8(0), np.uint8(255))
    grey = _from_16_bit(values) if image.mode.startswith("I;16") else _from_32_bit(values)
    return np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), np.uint8), alpha


def _from_16_bit(values: NDArray[np.uint16]) -> Array:
    table = np.rint(np.arange(65_536) / 257).astype(np.uint8)
    return table[values]


def _from_32_bit(values: NDArray[np.int32] | NDArray[np.float32]) -> Array:
    """Scale integers or floats to 0-255 by the least usual range that holds them all.

    Such files don't say their range: 0-1, 0-255 and 0-65535 are the usual ones; what lies outside
    of these is stretched from its least to its largest value.
    """
    if not np.isfinite(values).all():
        raise InvalidImage("the image holds values that are not finite: save it as 8 or 16 bit")
    low, high = float(values.min()), float(values.max())
    if low >= 0 and high <= 65_535:
        low, high = 0.0, next(top for top in (1.0, 255.0, 65_535.0) if high <= top)
    scaled = (values.astype(np.float64) - low) * (255 / max(high - low, 1e-12))
    return np.rint(scaled).astype(np.uint8)

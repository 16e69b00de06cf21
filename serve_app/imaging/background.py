"""What goes behind the subject: a colour, a picture, or the photo's own background blurred."""

import re
from typing import Literal, TypeAlias

import cv2
import numpy as np
from PIL import ImageColor

from serve_app.errors import InvalidOption
from serve_app.imaging.windows import soft_mask, windows
from serve_app.types import Array, Size

Color: TypeAlias = tuple[int, int, int, int]  # sRGB and straight alpha, each 0-255

TRANSPARENT: Color = (0, 0, 0, 0)
WHITE: Color = (255, 255, 255, 255)
COLOR_NAMES = tuple(sorted(ImageColor.colormap))

_HEX = re.compile(r"#(?:[0-9a-f]{3,4}|[0-9a-f]{6}|[0-9a-f]{8})")


def parse_color(text: str) -> Color:
    """Parse `#rgb`, `#rgba`, `#rrggbb`, `#rrggbbaa`, a CSS colour name or `transparent`.

    Raises InvalidOption for anything else.
    """
    name = text.strip().lower()
    if name == "transparent":
        return TRANSPARENT
    if not _HEX.fullmatch(name) and name not in ImageColor.colormap:
        raise InvalidOption(
            f"colour {text[:40]!r} is not known: write #rgb, #rrggbb, #rrggbbaa or a CSS name"
        )
    red, green, blue, *rest = ImageColor.getrgb(name)
    return red, green, blue, rest[0] if rest else 255


def composite(
    foreground: Array, alpha: Array, background: Color | Array | Literal["blur"]
) -> Array:
    """Put `background` behind the subject: uint8 `[H, W, 3]`, or `[H, W, 4]` if it lets light in.

    `foreground` is `[H, W, 3]` sRGB, `alpha` `[H, W]` straight. A background image `[h, w, 3]` of
    any size is made to cover, centred. `"blur"` takes the background from `foreground`'s own
    pixels where alpha is 0. A colour with alpha below 255 gives `[H, W, 4]`, straight alpha.
    Values are rounded to the nearest.
    """
    if isinstance(background, tuple):
        if background[3] < 255:
            return _over_translucent(foreground, alpha, background)
        behind = _filled(alpha.shape, background[:3])
    elif isinstance(background, str):
        behind = blurred_background(foreground, alpha)
    else:
        behind = cover(background, alpha.shape)
    return _blend(foreground, alpha, behind)


def take_off_white(image: Array, alpha: Array) -> Array:
    """Return the straight colour `[H, W, 3]` that gives `image` under `alpha` on white.

    It undoes `composite(..., WHITE)`: what is seen is right to the rounding of 8 bits, so a colour
    is rougher the less is seen of it. White where alpha is 0.
    """
    out = image.copy()
    for window in windows(soft_mask(alpha)):
        share = np.maximum(alpha[window], 1)[..., None] * np.float32(1 / 255)
        straight = 255 - (255 - image[window]) / share
        out[window] = np.rint(np.maximum(straight, 0))
    return out


def cover(image: Array, size: Size) -> Array:
    """Scale `image` `[h, w, 3]` to cover `size` and cut what hangs over, centred."""
    height, width = size
    factor = max(height / image.shape[0], width / image.shape[1])
    # The part of the image that will be seen is cut first, so that no larger one is made.
    rows = min(image.shape[0], max(1, round(height / factor)))
    columns = min(image.shape[1], max(1, round(width / factor)))
    top, left = (image.shape[0] - rows) // 2, (image.shape[1] - columns) // 2
    part = image[top : top + rows, left : left + columns]
    kind = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(part, (width, height), interpolation=kind), np.uint8)


def blurred_background(image: Array, alpha: Array) -> Array:
    """Blur the background of `image` `[H, W, 3]` strongly, with nothing of the subject in it.

    Each pixel is the mean of the background pixels around it (normalised convolution, Knutsson &
    Westin 1993), worked out small, since nothing fine is left in it.
    """
    height, width = alpha.shape
    factor = min(1.0, 256 / max(height, width))
    small = (max(1, round(width * factor)), max(1, round(height * factor)))
    colour = cv2.resize(image, small, interpolation=cv2.INTER_AREA).astype(np.float32)
    # The edge's own pixels hold the subject's colour, so the subject is widened before it goes.
    subject = cv2.dilate(cv2.resize(alpha, small, interpolation=cv2.INTER_AREA), np.ones((5, 5)))
    weight = (subject == 0).astype(np.float32)
    sigma = max(small) / 40
    near = cv2.GaussianBlur(weight, (0, 0), sigma)[..., None]
    far = cv2.GaussianBlur(weight, (0, 0), 8 * sigma)[..., None]
    seen = colour * weight[..., None]
    wide = cv2.GaussianBlur(seen, (0, 0), 8 * sigma) / np.maximum(far, 1e-6)
    mean = (cv2.GaussianBlur(seen, (0, 0), sigma) + 1e-2 * wide) / (near + 1e-2)
    # Rounded small: 8 bits of a blur are enough, and the full size then costs a quarter.
    full = cv2.resize(cv2.convertScaleAbs(mean), (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(full, np.uint8)


def _filled(size: Size, color: tuple[int, ...]) -> Array:
    # Row by row: filling pixel by pixel takes ten times as long.
    row = np.tile(np.array(color, np.uint8), (size[1], 1))
    return np.tile(row, (size[0], 1, 1))


def _blend(foreground: Array, alpha: Array, behind: Array) -> Array:
    """Blend into `behind`; most pixels are opaque or clear, and those are only copied."""
    cv2.copyTo(foreground, np.asarray(cv2.inRange(alpha, 255, 255), np.uint8), behind)
    for window in windows(soft_mask(alpha)):
        a = np.asarray(cv2.cvtColor(alpha[window], cv2.COLOR_GRAY2RGB), np.uint16)
        # x / 255 to the nearest for any x below 65536: (t + t // 256) // 256 with t = x + 128.
        mixed = a * foreground[window] + (255 - a) * behind[window] + 128
        behind[window] = (mixed + (mixed >> 8)) >> 8
    return behind


def _over_translucent(foreground: Array, alpha: Array, background: Color) -> Array:
    """Porter & Duff's `over`, straight in and straight out: uint8 `[H, W, 4]`."""
    opaque = np.asarray(cv2.cvtColor(foreground, cv2.COLOR_RGB2RGBA), np.uint8)
    if background[3] == 0:
        return np.asarray(cv2.insertChannel(alpha, opaque, 3), np.uint8)
    out = _filled(alpha.shape, background)
    cv2.copyTo(opaque, np.asarray(cv2.inRange(alpha, 255, 255), np.uint8), out)
    for window in windows(soft_mask(alpha)):
        a = (alpha[window] * np.float32(1 / 255))[..., None]
        behind = (1 - a) * np.float32(background[3] / 255)
        total = a + behind
        mixed = a * foreground[window] + behind * np.array(background[:3], np.float32)
        # Where the window holds opaque or clear pixels, the same formula gives what is there.
        out[window] = np.rint(np.dstack([mixed / total, total * 255]))
    return out

"""A contact sheet: some of the outputs, small, as data URIs for a page that stands alone."""

import base64
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, UnidentifiedImageError

from serve_app.bulk.places import Folder

_SHOWN = 48
_SIDE = 160  # px
_MAX_BYTES = 30_000_000  # a larger output is not read for its thumbnail
_SQUARE = 8  # px, of the checkerboard behind what is transparent


def contact_sheet(folder: Folder, names: Sequence[str]) -> list[tuple[str, str]]:
    """Name and data URI of outputs spread evenly over all of them."""
    step = max(1, len(names) / _SHOWN)
    chosen = [names[int(i * step)] for i in range(min(_SHOWN, len(names)))]
    shown = ((name, _thumbnail(folder, name)) for name in chosen)
    return [(name, data) for name, data in shown if data]


def _thumbnail(folder: Folder, name: str) -> str | None:
    """None where there is nothing to show, as of a ZIP."""
    try:
        found = folder.find(name)
        if found is None or found.size > _MAX_BYTES:
            return None
        with Image.open(io.BytesIO(folder.read(name))) as image:
            image.thumbnail((_SIDE, _SIDE))
            small = image.convert("RGBA")
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError):
        return None
    page = _board(small.size)
    page.alpha_composite(small)
    body = io.BytesIO()
    page.convert("RGB").save(body, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(body.getvalue()).decode()}"


def _board(size: tuple[int, int]) -> Image.Image:
    x, y = np.arange(size[0]) // _SQUARE, np.arange(size[1]) // _SQUARE
    light = (x[None, :] + y[:, None]) % 2 == 0
    return Image.fromarray(np.where(light, 255, 204).astype(np.uint8)).convert("RGBA")

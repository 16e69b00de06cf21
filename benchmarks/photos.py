"""The photos that benchmarks send."""

import io
from pathlib import Path

from PIL import Image, ImageOps

from serve_app.settings import ROOT

PHOTO = ROOT / "docs" / "images" / "astronaut.jpg"
SMALL, LARGE = (1024, 576), (4096, 2304)  # (width, height), px


def scaled(photo: Path, size: tuple[int, int]) -> bytes:
    """A photo cut and scaled to (width, height), as a JPEG of quality 90."""
    body = io.BytesIO()
    with Image.open(photo) as image:
        ImageOps.fit(image.convert("RGB"), size).save(body, "JPEG", quality=90)
    return body.getvalue()


def pixels(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"

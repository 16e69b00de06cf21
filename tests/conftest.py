"""What many tests share: pictures of our own making, and the folders beside the checkout."""

import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from serve_app.settings import ROOT

# Triton reads it when PyTorch imports it, and interprets kernels then: without a GPU nothing else
# can run them.
if not Path("/dev/nvidiactl").exists():
    os.environ.setdefault("TRITON_INTERPRET", "1")

SHARED = ROOT.parent / "shared"


@pytest.fixture(scope="session")
def photos() -> Path:
    """The folder of validation photos; needed in CI, and a reason to skip elsewhere."""
    folder = SHARED / "data" / "val"
    if not folder.is_dir():
        if os.environ.get("CI"):
            pytest.fail(f"{folder} is missing: CI must have it")
        pytest.skip("the validation photos are not beside this checkout")
    return folder


def picture(height: int = 90, width: int = 160) -> np.ndarray:
    """A red disc on a green and blue gradient: uint8 [H, W, 3]."""
    y, x = np.mgrid[:height, :width]
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 1] = 200 * y // max(1, height - 1)
    image[..., 2] = 200 * x // max(1, width - 1)
    disc = (y - height / 2) ** 2 + (x - width / 2) ** 2 < (min(height, width) / 3) ** 2
    image[disc] = (250, 20, 20)
    return image


def encoded(image: np.ndarray, format: str = "PNG", **options: object) -> bytes:
    body = io.BytesIO()
    Image.fromarray(image).save(body, format, **options)  # type: ignore[arg-type]
    return body.getvalue()


@pytest.fixture
def make_photo() -> Callable[..., bytes]:
    """Make a small file: `make_photo(height, width, format, **Pillow options)`."""

    def make(height: int = 90, width: int = 160, format: str = "PNG", **options: object) -> bytes:
        return encoded(picture(height, width), format, **options)

    return make

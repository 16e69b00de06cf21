import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from serve_app.imaging.orientation import orientation_of, upright


def opened(orientation: object) -> Image.Image:
    exif = Image.Exif()
    exif[0x0112] = orientation
    body = io.BytesIO()
    Image.fromarray(np.arange(6, dtype=np.uint8).reshape(2, 3)).save(body, "PNG", exif=exif)
    return Image.open(body)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("channels", [1, 3])
def test_the_same_turn_as_pillow(orientation: int, channels: int) -> None:
    image = opened(orientation).convert("L" if channels == 1 else "RGB")
    stored = np.asarray(image)
    turned = upright(stored, orientation_of(image))
    assert np.array_equal(turned, np.asarray(ImageOps.exif_transpose(image)))
    assert turned.flags.c_contiguous


@pytest.mark.parametrize("value", [0, 9, 65_535])
def test_senseless_values_mean_upright(value: object) -> None:
    assert orientation_of(opened(value)) == 1

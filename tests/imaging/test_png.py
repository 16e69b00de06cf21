"""The PNG writer against Pillow's and OpenCV's readers."""

import io
import struct
import zlib
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from serve_app.imaging import png
from serve_app.imaging.png import write_png


def photo(height: int, width: int, channels: int) -> np.ndarray:
    rng = np.random.default_rng(height * width)
    shape = (height, width) if channels == 1 else (height, width, channels)
    return rng.integers(0, 256, shape, np.uint8)


def chunks(body: bytes, kind: bytes) -> Iterator[bytes]:
    """The contents of each chunk of one kind."""
    at = 8
    while at < len(body):
        (length,) = struct.unpack_from(">I", body, at)
        if body[at + 4 : at + 8] == kind:
            yield body[at + 8 : at + 8 + length]
        at += length + 12


@given(height=st.integers(1, 40), width=st.integers(1, 40), channels=st.sampled_from([1, 3, 4]))
@settings(max_examples=60, deadline=None)
def test_reads_back_the_same(height: int, width: int, channels: int) -> None:
    image = photo(height, width, channels)
    with Image.open(io.BytesIO(write_png(image))) as read:
        assert np.array_equal(np.asarray(read), image)


@pytest.mark.parametrize("width", [5, 70_000])
def test_more_rows_than_one_slice(width: int) -> None:
    image = photo(2_000_000 // (4 * width), width, 4)
    read = cv2.imdecode(np.frombuffer(write_png(image), np.uint8), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(cv2.cvtColor(read, cv2.COLOR_BGRA2RGBA), image)


@pytest.mark.parametrize("height", [2304, 2303, 3])
def test_bands_of_a_large_image_join_to_one_stream(
    height: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(png, "_THREADS", 4)
    image = photo(height, 9_000_000 // height, 4)
    body = write_png(image)
    with Image.open(io.BytesIO(body)) as read:
        assert np.array_equal(np.asarray(read), image)
    zlib.decompress(b"".join(chunks(body, b"IDAT")))  # raises where the checksum is wrong


def test_a_view_of_another_array() -> None:
    image = photo(30, 30, 3)[5:20:2, ::-1]
    with Image.open(io.BytesIO(write_png(image))) as read:
        assert np.array_equal(np.asarray(read), image)


def test_resolution_is_kept_and_nothing_else() -> None:
    with Image.open(io.BytesIO(write_png(photo(4, 4, 3), (300, 72)))) as read:
        read.load()
        assert read.info["dpi"] == pytest.approx((300, 72), abs=0.02)
        assert set(read.info) == {"dpi"}


def test_smaller_than_unfiltered() -> None:
    ramp = np.add.outer(np.arange(256), np.arange(256)).astype(np.uint8)
    assert len(write_png(ramp)) < ramp.size // 20

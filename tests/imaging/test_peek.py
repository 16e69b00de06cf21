"""Sizes from headers, against Pillow and against what hostile bytes can do."""

import io
import random
import struct

import pytest
from PIL import Image

from serve_app.imaging.peek import is_sequential_jpeg, peek_size
from tests.conftest import encoded, picture

FILES: dict[str, dict[str, object]] = {
    "JPEG": {},
    "progressive JPEG": {"progressive": True},
    "late-sized JPEG": {"exif": b"Exif\0\0" + bytes(60_000), "comment": b"x" * 999},
    "PNG": {},
    "WEBP": {},
    "lossless WEBP": {"lossless": True},
    "extended WEBP": {"exif": b"Exif\0\0II*\0\x08\0\0\0\0\0"},
    "BMP": {},
    "TIFF": {},
    "compressed TIFF": {"compression": "tiff_lzw"},
    "GIF": {},
    "AVIF": {},
}


@pytest.mark.parametrize("name", FILES)
def test_it_is_the_files_size(name: str) -> None:
    data = encoded(picture(70, 130), name.rsplit(maxsplit=1)[-1], **FILES[name])
    assert peek_size(data) == (70, 130)


def test_rows_of_a_bmp_from_the_top() -> None:
    data = bytearray(encoded(picture(70, 130), "BMP"))
    data[22:26] = struct.pack("<i", -70)
    assert peek_size(bytes(data)) == (70, 130)


def test_both_orders_of_bytes_in_a_tiff() -> None:
    tags = struct.pack(">H", 2) + struct.pack(">HHIHH", 256, 3, 1, 130, 0)
    tags += struct.pack(">HHII", 257, 4, 1, 70)
    assert peek_size(b"MM\0*" + struct.pack(">I", 8) + tags) == (70, 130)


@pytest.mark.parametrize("data", [b"", b"hello", b"\xff\xd8\xff", b"BM", b"II*\0\xff\xff\xff\xff"])
def test_what_says_no_size(data: bytes) -> None:
    assert peek_size(data) is None


@pytest.mark.parametrize("name", FILES)
def test_no_bytes_break_it(name: str) -> None:
    rng = random.Random(0)
    whole = encoded(picture(40, 30), name.rsplit(maxsplit=1)[-1])
    for _ in range(300):
        data = bytearray(whole[: rng.randint(1, len(whole))])
        for _ in range(rng.randint(0, 8)):
            data[rng.randrange(min(len(data), 100))] = rng.randrange(256)
        size = peek_size(bytes(data))
        assert size is None or min(size) >= 0
        assert is_sequential_jpeg(bytes(data)) in (True, False)


def test_a_header_without_end_is_left_alone() -> None:
    assert peek_size(b"\xff\xd8" + b"\xff\xe0\0\x02" * 1_000_000) is None
    assert peek_size(b"\xff\xd8" + b"\xff" * 4_000_000) is None


def test_jpegs_that_are_decoded_in_one_go() -> None:
    assert is_sequential_jpeg(encoded(picture(), "JPEG"))
    assert is_sequential_jpeg(encoded(picture(), "JPEG", optimize=True))
    assert not is_sequential_jpeg(encoded(picture(), "JPEG", progressive=True))
    assert not is_sequential_jpeg(encoded(picture(), "PNG"))
    mpo = io.BytesIO()
    Image.fromarray(picture()).save(
        mpo, "MPO", save_all=True, append_images=[Image.fromarray(picture())]
    )
    assert is_sequential_jpeg(mpo.getvalue())

"""Limits are judged from the header, before anything is decoded."""

import io
import struct
import zlib

import pytest
from PIL import Image

from serve_app.errors import FileTooLarge, ImageTooLarge, InvalidImage, UnsupportedFormat
from serve_app.imaging.header import Header, count_scans, read_header
from serve_app.settings import Limits


def encoded(format: str, size: tuple[int, int] = (40, 30), **options: object) -> bytes:
    body = io.BytesIO()
    Image.new("RGB", size, (200, 100, 50)).save(body, format, **options)
    return body.getvalue()


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF"])
def test_format_and_size(format: str) -> None:
    assert read_header(encoded(format), Limits()) == Header(format, 30, 40)


def test_bytes_over_the_limit() -> None:
    data = encoded("PNG")
    read_header(data, Limits(max_bytes=len(data)))
    with pytest.raises(FileTooLarge, match=str(len(data))):
        read_header(data, Limits(max_bytes=len(data) - 1))


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF"])
def test_pixels_and_edge_over_the_limit(format: str) -> None:
    data = encoded(format)
    read_header(data, Limits(max_pixels=1200, max_edge=40))
    with pytest.raises(ImageTooLarge, match="40x30"):
        read_header(data, Limits(max_pixels=1199))
    with pytest.raises(ImageTooLarge, match="39"):
        read_header(data, Limits(max_edge=39))


def test_a_header_alone_is_enough_to_refuse() -> None:
    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 6, 0, 0, 0)
    chunk = b"IHDR" + head
    check = struct.pack(">I", zlib.crc32(chunk))
    start_of_data = struct.pack(">I", 1_000_000) + b"IDAT"
    data = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + check + start_of_data
    with pytest.raises(ImageTooLarge):
        read_header(data, Limits())


@pytest.mark.parametrize("data", [b"\xff\xd8\xff\xe0", b"BM", b"GIF89a", b"II*\0"])
def test_a_signature_alone_is_corrupt(data: bytes) -> None:
    with pytest.raises(InvalidImage):
        read_header(data, Limits())


def test_unknown_format() -> None:
    with pytest.raises(UnsupportedFormat):
        read_header(encoded("PPM"), Limits())


def test_scans_are_counted_as_they_are() -> None:
    assert count_scans(encoded("JPEG"), 64) == 1
    progressive = encoded("JPEG", progressive=True)
    scans = count_scans(progressive, 64)
    assert scans > 3
    read_header(progressive, Limits(max_jpeg_scans=scans))
    with pytest.raises(InvalidImage, match="scans"):
        read_header(progressive, Limits(max_jpeg_scans=scans - 1))


def test_scans_of_a_thumbnail_do_not_count() -> None:
    thumbnail = encoded("JPEG", progressive=True)
    segment = b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    data = encoded("JPEG")
    assert count_scans(data[:2] + segment + data[2:], 64) == 1


def test_counting_stops_above_the_limit() -> None:
    scan = b"\xff\xda\0\x02"
    assert count_scans(b"\xff\xd8" + scan * 1_000_000, 64) == 65

"""The format is judged by content."""

import pytest

from serve_app.errors import InvalidImage, UnsupportedFormat
from serve_app.imaging.sniff import sniff


@pytest.mark.parametrize(
    ("start", "name"),
    [
        (b"\xff\xd8\xff\xe0", "JPEG"),
        (b"\x89PNG\r\n\x1a\n", "PNG"),
        (b"GIF87a", "GIF"),
        (b"GIF89a", "GIF"),
        (b"BM", "BMP"),
        (b"II*\0", "TIFF"),
        (b"MM\0*", "TIFF"),
        (b"RIFF\0\0\0\0WEBP", "WEBP"),
        (b"\0\0\0\x18ftypavif\0\0\0\0mif1avif", "AVIF"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1avif", "AVIF"),
    ],
)
def test_accepted(start: bytes, name: str) -> None:
    assert sniff(start + bytes(64)) == name


@pytest.mark.parametrize(
    "start",
    [
        b"%!PS-Adobe-3.0 EPSF-3.0",
        b"<svg xmlns='http://www.w3.org/2000/svg'>",
        b"8BPS\0\1",
        b"\0\0\0\x0cjP  \r\n\x87\n",
        b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
        b"\xff\x0a\xfa",
        b"\0\0\0\x0cJXL \r\n\x87\n",
        b"P6\n1 1\n255\n",
        b"\x01\xda\x01\x01",
        b"II+\0\x08\0\0\0",
        b"RIFF\0\0\0\0AVI ",
        b"%PDF-1.7",
        b"hello",
        b"\0",
        b"\xff\xd8",
    ],
)
def test_refused(start: bytes) -> None:
    with pytest.raises(UnsupportedFormat, match="JPEG, PNG"):
        sniff(start)


def test_empty() -> None:
    with pytest.raises(InvalidImage, match="0 bytes"):
        sniff(b"")

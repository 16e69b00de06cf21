"""Which accepted format a file is, judged by its first bytes and never by its name."""

from typing import Literal, TypeAlias

from serve_app.errors import InvalidImage, UnsupportedFormat

Format: TypeAlias = Literal["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF"]

ACCEPTED = "JPEG, PNG, WebP, BMP, TIFF, GIF and AVIF"

# BigTIFF is left out: it is for files over 4 GB, which no upload is.
_SIGNATURES: tuple[tuple[bytes, Format], ...] = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
)
_AVIF_BRANDS = (b"avif", b"avis")


def sniff(data: bytes) -> Format:
    """Name the format of `data`.

    Raises InvalidImage if there is no data, UnsupportedFormat if it is none of the accepted ones.
    """
    if not data:
        raise InvalidImage("the image is empty (0 bytes): send the file's content")
    for signature, name in _SIGNATURES:
        if data.startswith(signature):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if _is_avif(data):
        return "AVIF"
    raise UnsupportedFormat(f"the file is no image of an accepted format: send {ACCEPTED}")


def _is_avif(data: bytes) -> bool:
    """Look for an AVIF brand in the `ftyp` box (ISO/IEC 14496-12, 4.3)."""
    if data[4:8] != b"ftyp":
        return False
    brands = data[8 : min(int.from_bytes(data[:4], "big"), 256)]
    return any(brands[i : i + 4] in _AVIF_BRANDS for i in range(0, len(brands), 4))

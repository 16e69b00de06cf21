"""What a file says of itself in its first bytes, read without any decoder's help.

For judging how much work a file will be before anyone takes it on: a hint, not a check. What a file
may be is decided by `header.py`, in the process that decodes it.
"""

import re
import struct
from collections.abc import Callable

from serve_app.types import Size

# How far a reader looks, so that no file keeps it busy.
_MOST_SEGMENTS = 1000  # of a JPEG
_MOST_TAGS = 64  # of a TIFF's first directory
_AVIF_HEAD = 262_144  # bytes
_WIDTH_TAG, _HEIGHT_TAG, _SHORT = 256, 257, 3

# The frame headers of a JPEG, SOF0-SOF15; between them lie DHT, JPG and DAC (ITU T.81, B.1.1.3).
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SEQUENTIAL = (0xC0, 0xC1)
_START_OF_SCAN = 0xDA


def peek_size(data: bytes) -> Size | None:
    """The size that the header of an image file gives, None where it gives none."""
    for signature, read in _READERS:
        if re.match(signature, data, re.DOTALL):
            try:
                return read(data)
            except (struct.error, IndexError):
                return None
    return None


def is_sequential_jpeg(data: bytes) -> bool:
    """Whether the file is a JPEG that is decoded in one go, as cameras write them."""
    frame = _jpeg_frame(data) if data.startswith(b"\xff\xd8\xff") else None
    return frame is not None and frame[0] in _SEQUENTIAL


def _jpeg_frame(data: bytes) -> tuple[int, int] | None:
    """The code of the frame header and where its content begins."""
    position = 2
    for _ in range(_MOST_SEGMENTS):
        if position + 4 > len(data) or data[position] != 0xFF:
            return None
        code = data[position + 1]
        if code in _FRAMES:
            return code, position + 4
        if code == _START_OF_SCAN:
            return None
        # A byte of filling before a marker is another FF.
        position += 1 if code == 0xFF else 2 + struct.unpack_from(">H", data, position + 2)[0]
    return None


def _jpeg(data: bytes) -> Size | None:
    frame = _jpeg_frame(data)
    return None if frame is None else struct.unpack_from(">HH", data, frame[1] + 1)


def _png(data: bytes) -> Size:
    width, height = struct.unpack_from(">II", data, 16)
    return height, width


def _gif(data: bytes) -> Size:
    width, height = struct.unpack_from("<HH", data, 6)
    return height, width


def _bmp(data: bytes) -> Size:
    if struct.unpack_from("<I", data, 14)[0] == 12:  # the header of OS/2
        width, height = struct.unpack_from("<HH", data, 18)
    else:
        width, height = struct.unpack_from("<ii", data, 18)
    return abs(height), abs(width)  # a negative height: rows from the top


def _webp(data: bytes) -> Size | None:
    kind = data[12:16]
    if kind == b"VP8X":
        width, height = (int.from_bytes(data[i : i + 3], "little") + 1 for i in (24, 27))
    elif kind == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif kind == b"VP8 ":
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
    else:
        return None
    return height, width


def _tiff(data: bytes) -> Size | None:
    order = "<" if data[0] == ord("I") else ">"
    (position,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, position)
    sides = {}
    for i in range(min(count, _MOST_TAGS)):
        entry = position + 2 + 12 * i
        tag, kind = struct.unpack_from(order + "HH", data, entry)
        sides[tag] = struct.unpack_from(order + ("H" if kind == _SHORT else "I"), data, entry + 8)
    if _WIDTH_TAG not in sides or _HEIGHT_TAG not in sides:
        return None
    return int(sides[_HEIGHT_TAG][0]), int(sides[_WIDTH_TAG][0])


def _avif(data: bytes) -> Size | None:
    """The largest `ispe` box: a grid has one for itself and one for its cells."""
    found = [
        struct.unpack(">II", match[1]) for match in _SPATIAL_EXTENTS.finditer(data, 0, _AVIF_HEAD)
    ]
    if not found:
        return None
    width, height = max(found, key=lambda sides: sides[0] * sides[1])
    return height, width


_SPATIAL_EXTENTS = re.compile(rb"\0\0\0\x14ispe\0\0\0\0(.{8})", re.DOTALL)

_READERS: tuple[tuple[bytes, Callable[[bytes], Size | None]], ...] = (
    (rb"\xff\xd8\xff", _jpeg),
    (rb"\x89PNG\r\n\x1a\n", _png),
    (rb"GIF8[79]a", _gif),
    (rb"BM", _bmp),
    (rb"II\*\0|MM\0\*", _tiff),
    (rb"RIFF....WEBP", _webp),
    (rb"....ftyp", _avif),
)

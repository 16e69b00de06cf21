"""Unpacking a ZIP from a stream, entry by entry, as the batch route writes it: stored, sizes first.

APPNOTE.TXT 6.3.10, section 4.3.7. The directory at the end is not needed and not read.
"""

import struct
import zlib
from collections.abc import Iterator

_HEADER = struct.Struct("<4s5H3I2H")
_ENTRY, _STORED, _SIZE_LATER = b"PK\x03\x04", 0, 0x08


class StreamedUnzip:
    """Takes bytes in any pieces, gives entries when they are whole; holds one entry at most."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._past_entries = False

    def feed(self, data: bytes) -> Iterator[tuple[str, bytes]]:
        """Take the next bytes; yields `(name, data)` of each entry that they complete.

        Raises:
            ValueError: a ZIP of another kind, or one damaged on the way.
        """
        if self._past_entries:
            return
        self._buffer += data
        while (entry := self._next()) is not None:
            yield entry

    def _next(self) -> tuple[str, bytes] | None:
        buffer = self._buffer
        if len(buffer) < 4:
            return None
        if buffer[:4] != _ENTRY:
            self._past_entries = True
            return None
        if len(buffer) < _HEADER.size:
            return None
        _, _, flags, method, _, _, crc, size, _, named, extra = _HEADER.unpack_from(buffer)
        if method != _STORED or flags & _SIZE_LATER:
            raise ValueError("the ZIP cannot be unpacked from a stream")
        start = _HEADER.size + named + extra
        if len(buffer) < start + size:
            return None
        name = buffer[_HEADER.size : _HEADER.size + named].decode("utf-8")
        data = bytes(buffer[start : start + size])
        del buffer[: start + size]
        if zlib.crc32(data) != crc:
            raise ValueError(f"the ZIP's entry '{name}' was damaged on the way")
        return name, data

"""Bytes that wait for their turn on disk, so that memory doesn't grow with what waits."""

import os
import tempfile
from collections import deque

_IN_MEMORY = 1_000_000  # bytes of a segment; what is more goes to disk
_SEGMENT = 64_000_000  # bytes; disk space comes back a segment at a time


class _Segment:
    def __init__(self) -> None:
        self.file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - closed by the queue
        self.items = 0  # that wait in it


class DiskQueue:
    """Items of bytes, first in, first out."""

    def __init__(self) -> None:
        self.size = 0  # bytes that wait
        self._items: deque[tuple[_Segment, int, int]] = deque()  # segment, offset, length
        self._last = _Segment()

    def put(self, data: bytes) -> None:
        segment = self._last
        offset = segment.file.seek(0, os.SEEK_END)
        segment.file.write(data)
        segment.items += 1
        self._items.append((segment, offset, len(data)))
        self.size += len(data)
        if offset + len(data) >= _SEGMENT:
            self._last = _Segment()

    def take(self) -> bytes:
        """Take the oldest item. Raises IndexError where none waits."""
        segment, offset, length = self._items.popleft()
        segment.file.seek(offset)
        data = segment.file.read(length)
        segment.items -= 1
        self.size -= length
        if not segment.items:
            if segment is self._last:
                segment.file.seek(0)
                segment.file.truncate()
            else:
                segment.file.close()
        return data

    def close(self) -> None:
        for segment, _, _ in self._items:
            segment.file.close()
        self._last.file.close()

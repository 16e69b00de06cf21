"""Bytes that wait for their turn on disk, so that memory doesn't grow with what waits."""

import errno
import os
import tempfile
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from serve_app.errors import StorageFull

_IN_MEMORY = 1_000_000  # bytes of a segment; what is more goes to disk
_SEGMENT = 64_000_000  # bytes; disk space comes back a segment at a time


@contextmanager
def told_when_full() -> Iterator[None]:
    """Turn the errors of a temporary file into one for the client. Raises StorageFull."""
    try:
        yield
    except OSError as exc:
        raise StorageFull(
            f"what waits for its turn could not be put on the service's disk ({exc.strerror}): "
            "send fewer images at once, or try again later"
        ) from exc


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
        """Add an item. Raises StorageFull."""
        segment = self._last
        with told_when_full():
            offset = segment.file.seek(0, os.SEEK_END)
            segment.file.write(data)
            segment.file.flush()
        segment.items += 1
        self._items.append((segment, offset, len(data)))
        self.size += len(data)
        if offset + len(data) >= _SEGMENT:
            self._last = _Segment()

    def take(self) -> bytes:
        """Take the oldest item. Raises IndexError if none waits, StorageFull if it is lost."""
        segment, offset, length = self._items.popleft()
        with told_when_full():
            segment.file.seek(offset)
            data = segment.file.read(length)
            if len(data) < length:  # it was in memory when the disk was full
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
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
            _close(segment.file)
        _close(self._last.file)


def _close(file: "tempfile.SpooledTemporaryFile[bytes]") -> None:
    with suppress(OSError):  # what a full disk did not take is not wanted any more
        file.close()

"""A ZIP that is read while it is written, and names that are safe in one."""

import re
import tempfile
import unicodedata
import zipfile
from contextlib import suppress
from pathlib import PurePosixPath

from serve_app.api.disk_queue import told_when_full
from serve_app.errors import StorageFull

EXTENSIONS = {
    "image/png": ".png",
    "image/webp": ".webp",
    "image/jpeg": ".jpg",
    "application/zip": ".zip",
}

_IN_MEMORY = 4_000_000  # bytes that wait for a slow reader in memory; more wait on disk
_MAX_STEM = 100  # characters
_MAX_STEM_BYTES = 240  # in UTF-8: file systems take 255, with number and extension
_UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]')
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # of Windows


class StreamedZip:
    """A ZIP whose bytes can be taken as soon as they are written.

    Each entry has its size and checksum before its data, so that it can be unpacked from a stream.

    What has not been taken yet waits in memory up to a bound, then on disk: a client that reads
    only once it has sent everything must not bring its own upload to a halt.
    """

    def __init__(self) -> None:
        self._queue = _Queue()
        self._zip = zipfile.ZipFile(self._queue, "w", zipfile.ZIP_STORED)

    def add(self, name: str, data: bytes) -> None:
        """Write an entry. Raises StorageFull; nothing can be added after that."""
        # A fixed date: the same images give the same bytes.
        self._zip.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data)

    def finish(self) -> None:
        """Write the directory; nothing can be added after it."""
        self._zip.close()

    def take(self, most: int) -> bytes:
        """Take up to `most` of the bytes that wait; empty when none do."""
        return self._queue.take(most)

    def close(self) -> None:
        with suppress(StorageFull, ValueError):  # it cannot be ended where an entry is cut short
            self._zip.close()  # or it would try to on its own, once its queue is gone
        self._queue.close()


class OutputNames:
    """Gives each output a name that is its own in one ZIP, on every file system."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._numbers: dict[str, int] = {}  # the last one of each name

    def name(self, filename: str, media_type: str) -> str:
        """Name the output of `filename`: its last path part, cleaned, numbered where taken."""
        stem, extension = safe_stem(filename), EXTENSIONS[media_type]
        name = stem + extension
        first = _same(name)
        number = self._numbers.get(first, 1)
        while _same(name) in self._taken:
            number += 1
            name = f"{stem}-{number}{extension}"
        self._numbers[first] = number
        self._taken.add(_same(name))
        return name


def _same(name: str) -> str:
    """What two names have in common that some file system takes for one."""
    return unicodedata.normalize("NFC", name).casefold()


def safe_stem(filename: str) -> str:
    """The last part of a path without its extension and without what a file system refuses."""
    last = filename.replace("\\", "/").rstrip("/").rpartition("/")[2]
    stem = PurePosixPath(_UNSAFE.sub("_", last)).stem.strip(" .")[:_MAX_STEM]
    stem = stem.encode()[:_MAX_STEM_BYTES].decode("utf-8", "ignore").rstrip(" .")
    if not stem:
        return "image"
    return f"_{stem}" if _DEVICES.fullmatch(stem) else stem


class _Queue:
    """Bytes in and out, first in first out; a writer may go back over what is not taken yet."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - closed by its owner
        self._dropped = 0  # bytes that the file doesn't hold any more
        self._taken = self._at = self._end = 0  # positions, counted from the first byte ever

    def write(self, data: bytes) -> int:
        with told_when_full():
            self._file.seek(self._at - self._dropped)
            self._file.write(data)
            self._file.flush()
        self._at += len(data)
        self._end = max(self._end, self._at)
        return len(data)

    def tell(self) -> int:
        return self._at

    def seek(self, position: int) -> int:
        if position < self._taken:
            raise OSError("what has been taken cannot be written again")
        self._at = position
        return position

    def flush(self) -> None:
        """Nothing to do: what is written can be taken at once."""

    def take(self, most: int) -> bytes:
        self._file.seek(self._taken - self._dropped)
        data = self._file.read(min(most, self._end - self._taken))
        self._taken += len(data)
        if self._taken == self._end and self._dropped != self._end:  # the space is free again
            self._file.seek(0)
            self._file.truncate()
            self._dropped = self._end
        return data

    def close(self) -> None:
        with suppress(OSError):
            self._file.close()

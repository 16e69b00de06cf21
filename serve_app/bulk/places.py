"""Where files are read and written: folders of this machine, or whatever a URI leads to.

A write is whole or not there: locally, and where a store cannot put a file at once, it goes to
`.cvunet/parts` first and is moved into place.
"""

import os
import re
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit, urlunsplit

from serve_app.errors import InputError

OWN = ".cvunet"
"""The folder in DST that holds what a job knows of itself."""

_PARTS = f"{OWN}/parts"
_PUT_AT_ONCE = ("s3", "gcs", "abfs")  # their files appear when they are whole


@dataclass(frozen=True, slots=True)
class Found:
    """A file in a folder."""

    path: str  # within the folder, with `/`
    size: int  # bytes
    mtime: float | None  # unix time, s; None where the store does not tell

    @property
    def stamp(self) -> str:
        """Changes when the file does."""
        return f"{self.size}:{self.mtime}"


class Folder(Protocol):
    """A folder and those below it. What goes wrong is an OSError."""

    name: str  # as it is shown: no secrets

    def files(self) -> Iterator[Found]: ...
    def find(self, path: str) -> Found | None: ...
    def read(self, path: str) -> bytes: ...
    def write(self, path: str, body: bytes) -> None: ...
    def remove(self, path: str) -> None: ...
    def uri(self, path: str) -> str: ...
    def clear_parts(self) -> None: ...


class LocalFolder:
    """A folder that this machine's file system holds."""

    def __init__(self, path: Path) -> None:
        self.root = path
        self.name = str(path)

    def files(self) -> Iterator[Found]:
        if not self.root.is_dir():
            return
        for folder, folders, names in os.walk(self.root, onerror=_raise):
            folders.sort()
            for name in sorted(names):
                path = Path(folder, name)
                try:
                    status = path.stat()
                except FileNotFoundError:  # gone since, or a link that leads nowhere
                    continue
                relative = path.relative_to(self.root).as_posix()
                yield Found(relative, status.st_size, status.st_mtime)

    def find(self, path: str) -> Found | None:
        try:
            status = (self.root / path).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return Found(path, status.st_size, status.st_mtime)

    def read(self, path: str) -> bytes:
        return (self.root / path).read_bytes()

    def write(self, path: str, body: bytes) -> None:
        target, part = self.root / path, self.root / _PARTS / secrets.token_hex(8)
        part.parent.mkdir(parents=True, exist_ok=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            part.write_bytes(body)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)

    def remove(self, path: str) -> None:
        (self.root / path).unlink(missing_ok=True)

    def uri(self, path: str) -> str:
        return str(self.root / path)

    def clear_parts(self) -> None:
        shutil.rmtree(self.root / _PARTS, ignore_errors=True)


class RemoteFolder:
    """A folder of any store that pyarrow or fsspec opens."""

    def __init__(self, uri: str) -> None:
        self.name = without_secrets(uri)
        self._uri = uri.rstrip("/")
        self._files, self._root = _open(self._uri)
        self._at_once = self._files.type_name in _PUT_AT_ONCE

    def files(self) -> Iterator[Found]:
        from pyarrow.fs import FileSelector, FileType

        selector = FileSelector(self._root, recursive=True, allow_not_found=True)
        with _stores_errors(self.name):
            listed = self._files.get_file_info(selector)
        prefix = len(self._root) + 1
        for info in sorted(listed, key=lambda each: each.path):
            if info.type == FileType.File:
                yield Found(info.path[prefix:], info.size or 0, _mtime(info))

    def find(self, path: str) -> Found | None:
        from pyarrow.fs import FileType

        with _stores_errors(self.name):
            info = self._files.get_file_info(self._at(path))
        return Found(path, info.size or 0, _mtime(info)) if info.type == FileType.File else None

    def read(self, path: str) -> bytes:
        with _stores_errors(self.name), self._files.open_input_stream(self._at(path)) as stream:
            body: bytes = stream.read()
            return body

    def write(self, path: str, body: bytes) -> None:
        with _stores_errors(self.name):
            if self._at_once:
                self._put(self._at(path), body)
                return
            part = self._at(f"{_PARTS}/{secrets.token_hex(8)}")
            for target in (part, self._at(path)):
                self._files.create_dir(str(PurePosixPath(target).parent), recursive=True)
            self._put(part, body)
            self._files.move(part, self._at(path))

    def remove(self, path: str) -> None:
        if self.find(path):
            with _stores_errors(self.name):
                self._files.delete_file(self._at(path))

    def uri(self, path: str) -> str:
        parts = urlsplit(self._uri)
        return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{path}"))

    def clear_parts(self) -> None:
        if not self._at_once:
            with _stores_errors(self.name):
                self._files.delete_dir_contents(self._at(_PARTS), missing_dir_ok=True)

    def _at(self, path: str) -> str:
        return f"{self._root}/{path}"

    def _put(self, path: str, body: bytes) -> None:
        # No `with`: closing after a failed write would keep what was written until then.
        stream = self._files.open_output_stream(path)
        stream.write(body)
        stream.close()


def open_folder(text: str) -> Folder:
    """Open a folder by its path or URI; it need not be there yet.

    Raises:
        InputError: no store is known for the URI, or it cannot be reached.
    """
    path = local_path(text)
    return LocalFolder(path) if path else RemoteFolder(text)


def local_path(text: str) -> Path | None:
    """The absolute path that a text names; None where it is a URI of somewhere else.

    Raises:
        InputError: it is neither.
    """
    try:
        parts = urlsplit(text) if "://" in text else None
        if parts is None:
            return Path(text).expanduser().absolute()
    except (ValueError, RuntimeError) as exc:  # of a URI's host, of the home of nobody
        shown = without_secrets(text)
        raise InputError(f"'{shown}' is no path and no URI ({exc}): correct it") from exc
    if parts.scheme == "file":
        return Path(unquote(parts.path)).absolute()
    return None


def absolute(text: str) -> str:
    """The same place from wherever a worker runs."""
    return str(local_path(text) or text)


def without_secrets(uri: str) -> str:
    """A URI as it may be shown and kept, broken ones too: no key, no signature."""
    scheme, mark, rest = uri.partition("://")
    if not mark:
        return uri
    host, slash, path = re.split(r"[?#]", rest, maxsplit=1)[0].partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def read_uri(uri: str) -> bytes:
    """Read one file, wherever it is. Raises OSError or InputError."""
    path = local_path(uri)
    if path:
        return path.read_bytes()
    shown = without_secrets(uri)
    files, within = _open(uri)
    with _stores_errors(shown), files.open_input_stream(within) as stream:
        body: bytes = stream.read()
        return body


def _open(uri: str) -> tuple[Any, str]:
    """A pyarrow file system, and the path within it."""
    from pyarrow import ArrowException
    from pyarrow.fs import FileSystem, FSSpecHandler, PyFileSystem

    shown = without_secrets(uri)
    try:
        return FileSystem.from_uri(uri)  # type: ignore[no-any-return]
    except (ArrowException, OSError, ValueError) as exc:
        if "nrecognized filesystem" not in str(exc):
            raise InputError(f"'{shown}' cannot be opened: {exc}") from exc
    from fsspec.core import url_to_fs

    try:
        files, path = url_to_fs(uri)
    except (ImportError, ValueError, OSError) as exc:
        raise InputError(
            f"'{shown}' cannot be opened ({exc}): give a folder, s3://, gs://, or a URI of which "
            "fsspec's package is installed"
        ) from exc
    return PyFileSystem(FSSpecHandler(files)), path


class _stores_errors:  # noqa: N801 - reads as a function where it is used
    """Turns what a store says into one OSError that names the store and the remedy."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, exc: BaseException | None, _: object) -> None:
        from pyarrow import ArrowException

        if not isinstance(exc, ArrowException | OSError | PermissionError):
            return
        words = " ".join(str(exc).split())
        if isinstance(exc, FileNotFoundError):
            raise FileNotFoundError(2, f"{words}", self._name) from exc
        if "ACCESS_DENIED" in words or "redential" in words or "InvalidAccessKeyId" in words:
            words = (
                f"access denied: give credentials, such as AWS_ACCESS_KEY_ID and "
                f"AWS_SECRET_ACCESS_KEY in the environment ({words})"
            )
        raise OSError(5, words, self._name) from exc


def _mtime(info: Any) -> float | None:
    return None if info.mtime_ns is None else info.mtime_ns / 1e9


def _raise(exc: OSError) -> None:
    raise exc

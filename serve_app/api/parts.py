"""The parts of a multipart body, one by one while it is still being received (RFC 7578)."""

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from serve_app.errors import InputError, MissingImage

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

_MAX_HEADERS = 16  # in one part
_MAX_PARTS = 100  # in a form that is no batch

# RFC 7578 forbids this spelling of a file's name (RFC 5987), yet .NET sends it beside, and old
# versions of urllib3 in place of, the plain one.
_EXTENDED_NAME = re.compile(rb"filename\*\s*=\s*utf-8'[^']*'([^;\s]+)", re.IGNORECASE)
_ENCODED_WORD = b"=?"  # how .NET begins a plain name that is no ASCII; nobody reads that


@dataclass(frozen=True, slots=True)
class Part:
    """One part; of a part over the limit, `data` holds nothing and `size` tells how much came."""

    name: str
    filename: str
    is_file: bool  # whether it has a filename at all, were it an empty one
    data: bytes
    size: int

    @property
    def text(self) -> str:
        return self.data.decode("utf-8", "replace")


@dataclass(slots=True)
class _Growing:
    headers: dict[bytes, bytes] = field(default_factory=dict)
    data: bytearray = field(default_factory=bytearray)
    size: int = 0


class _Collector:
    """What the parser calls: puts the pieces together into parts."""

    def __init__(self, max_bytes: int) -> None:
        self.complete: list[Part] = []
        self.ended = False
        self._max_bytes = max_bytes
        self._part = _Growing()
        self._header: tuple[bytearray, bytearray] = bytearray(), bytearray()

    def on_part_begin(self) -> None:
        self._part = _Growing()

    def on_header_begin(self) -> None:
        self._header = bytearray(), bytearray()

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header[0].extend(data[start:end])

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header[1].extend(data[start:end])

    def on_header_end(self) -> None:
        name, value = self._header
        self._part.headers[bytes(name).lower()] = bytes(value)

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        part = self._part
        part.size += end - start
        if part.size <= self._max_bytes:
            part.data += data[start:end]
        elif part.data:
            part.data = bytearray()

    def on_part_end(self) -> None:
        disposition = self._part.headers.get(b"content-disposition", b"")
        _, options = parse_options_header(disposition)
        name, filename = _text(options.get(b"name", b"")), _filename(disposition, options)
        data, size = bytes(self._part.data), self._part.size
        self.complete.append(Part(name, filename or "", filename is not None, data, size))
        self._part = _Growing()

    def on_end(self) -> None:
        self.ended = True


async def read_parts(
    content_type: str, chunks: AsyncIterator[bytes], max_bytes: int
) -> AsyncIterator[Part]:
    """Yield each part as soon as its last byte is here; holds one part at a time.

    Raises:
        MissingImage: not a multipart body.
        InputError: a broken one, or one that ends too soon.
    """
    kind, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if kind != b"multipart/form-data" or not boundary:
        raise MissingImage("the body is no multipart form with a boundary: curl -F builds one")
    collector = _Collector(max_bytes)
    try:
        parser = MultipartParser(boundary, _callbacks(collector), max_header_count=_MAX_HEADERS)
        async for chunk in chunks:
            parser.write(chunk)
            while collector.complete:
                yield collector.complete.pop(0)
    except FormParserError as exc:
        raise InputError(f"the multipart body is broken: {exc}") from exc
    if not collector.ended:
        raise InputError("the multipart body ends before its closing boundary: send all of it")


async def read_form(content_type: str, chunks: AsyncIterator[bytes], max_bytes: int) -> list[Part]:
    """All parts of a small form. Raises as `read_parts`, and InputError for too many."""
    parts = []
    async for part in read_parts(content_type, chunks, max_bytes):
        parts.append(part)
        if len(parts) > _MAX_PARTS:
            raise InputError(f"over {_MAX_PARTS} parts in the form: send fewer")
    return parts


def _callbacks(collector: _Collector) -> "MultipartCallbacks":
    return {
        "on_part_begin": collector.on_part_begin,
        "on_header_begin": collector.on_header_begin,
        "on_header_field": collector.on_header_field,
        "on_header_value": collector.on_header_value,
        "on_header_end": collector.on_header_end,
        "on_part_data": collector.on_part_data,
        "on_part_end": collector.on_part_end,
        "on_end": collector.on_end,
    }


def _filename(disposition: bytes, options: Mapping[bytes, bytes]) -> str | None:
    """A part's file name; None where it is no file."""
    plain = options.get(b"filename")
    extended = _EXTENDED_NAME.search(disposition)
    if extended and (plain is None or plain.startswith(_ENCODED_WORD)):
        return unquote(extended[1].decode("latin-1"))
    return None if plain is None else _text(plain)


def _text(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")

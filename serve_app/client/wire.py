"""What both clients send and how they read the answers; nothing here waits for a network."""

import json
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import httpx

from serve_app.client.unzip import StreamedUnzip
from serve_app.errors import MattingError, RetryLater
from serve_app.types import Box

Image: TypeAlias = Path | str | bytes
OptionValue: TypeAlias = str | int | float | bool | None

_COME_BACK = (429, 503)
_MAX_DELAY_S = 60.0


class ServiceUnreachable(MattingError):
    """No answer came: no connection, or one that broke."""

    code = "unreachable"
    title = "Service not reached"


@dataclass(frozen=True, slots=True)
class Cutout:
    """One answer."""

    body: bytes
    media_type: str
    foreground: Box  # the subject within the image
    headers: Mapping[str, str]

    @classmethod
    def of(cls, response: httpx.Response) -> "Cutout":
        head = response.headers
        sides = [int(head.get(f"x-foreground-{s}", 0)) for s in ("top", "left", "height", "width")]
        return cls(response.content, head.get("content-type", ""), Box(*sides), head)

    def save(self, path: Path | str) -> Path:
        path = Path(path)
        path.write_bytes(self.body)
        return path


@dataclass(frozen=True, slots=True)
class BatchFile:
    """What became of one file of a batch: `output`, or `code` and `detail` of its failure."""

    name: str
    output: Path | None
    code: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class BatchReport:
    """What became of a batch; `error` says what ended it early, if anything did."""

    files: list[BatchFile]
    error: str = ""

    @property
    def failed(self) -> list[BatchFile]:
        return [file for file in self.files if file.output is None]


class BatchSaver:
    """Saves the entries of a batch's ZIP as they come; the last one is the report."""

    def __init__(self, folder: Path, on_saved: Callable[[Path], object] | None) -> None:
        self._folder = folder
        self._on_saved = on_saved
        self._unzip = StreamedUnzip()
        self._manifest: dict[str, Any] | None = None

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the answer. Raises ServiceUnreachable where they are damaged."""
        try:
            for name, body in self._unzip.feed(data):
                self._save(name, body)
        except ValueError as exc:
            raise ServiceUnreachable(str(exc)) from exc

    def report(self) -> BatchReport:
        if self._manifest is None:
            raise ServiceUnreachable("the batch's answer ended before its manifest: try it again")
        files = [
            BatchFile(
                file["name"],
                self._path(file["output"]) if file["output"] else None,
                file.get("code", ""),
                file.get("detail", ""),
            )
            for file in self._manifest["files"]
        ]
        return BatchReport(files, self._manifest.get("error", {}).get("detail", ""))

    def _save(self, name: str, body: bytes) -> None:
        if name == "manifest.json":
            self._manifest = json.loads(body)
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._path(name)
        path.write_bytes(body)
        if self._on_saved is not None:
            self._on_saved(path)

    def _path(self, name: str) -> Path:
        return self._folder / Path(name).name  # whatever a service says, only into the folder


def matting_form(
    image: Image,
    background_image: Image | None,
    trimap: Image | None,
    options: Mapping[str, OptionValue],
) -> tuple[dict[str, str], dict[str, tuple[str, bytes]]]:
    """The fields and the files of one request; files are read here."""
    files = {"image": image, "background_image": background_image, "trimap": trimap}
    given = {name: _file(value) for name, value in files.items() if value is not None}
    return {name: _text(value) for name, value in options.items()}, given


def batch_form(
    paths: Iterable[Path], options: Mapping[str, OptionValue]
) -> tuple[str, Iterator[bytes]]:
    """A multipart body's content type and its pieces; a file is read when its turn comes."""
    boundary = secrets.token_hex(16)

    def pieces() -> Iterator[bytes]:
        for name, value in options.items():
            yield _part(boundary, f'name="{name}"') + _text(value).encode() + b"\r\n"
        for path in paths:
            filename = _name(path).replace('"', "%22").replace("\r", " ").replace("\n", " ")
            yield _part(boundary, f'name="image"; filename="{filename}"')
            yield path.read_bytes() + b"\r\n"
        yield f"--{boundary}--\r\n".encode()

    return f"multipart/form-data; boundary={boundary}", pieces()


def retry_delay(response: httpx.Response, attempt: int) -> float | None:
    """How long to wait before the next try, s; None where trying again changes nothing."""
    if response.status_code not in _COME_BACK:
        return None
    named = response.headers.get("retry-after", "")
    return min(_MAX_DELAY_S, float(named) if named.isdecimal() else 0.5 * 2.0**attempt)


def error_of(response: httpx.Response) -> MattingError:
    """The error of ours that an answer tells of, with its request id as a note."""
    try:
        problem = response.json()
        code, detail = str(problem["code"]), str(problem["detail"])
    except (ValueError, KeyError, TypeError):
        code, detail = "", f"the service answered {response.status_code}"
    error = _with_code(code, detail, response)
    error.add_note(f"request {response.headers.get('x-request-id', '')}")
    return error


@contextmanager
def mapped_errors() -> Iterator[None]:
    """Raise httpx's errors as ours."""
    try:
        yield
    except httpx.TransportError as exc:
        raise ServiceUnreachable(f"the service was not reached: {exc}") from exc


def _with_code(code: str, detail: str, response: httpx.Response) -> MattingError:
    cls = next((cls for cls in _tree(MattingError) if cls.code == code), MattingError)
    if issubclass(cls, RetryLater):
        named = response.headers.get("retry-after", "")
        return cls(detail, int(named) if named.isdecimal() else 1)
    return cls(detail)


def _tree(base: type[MattingError]) -> Iterator[type[MattingError]]:
    """A class and all below it, the wider ones first."""
    level = [base]
    while level:
        yield from level
        level = [below for cls in level for below in cls.__subclasses__()]


def _file(image: Image) -> tuple[str, bytes]:
    if isinstance(image, bytes):
        return "image", image
    return _name(Path(image)), Path(image).read_bytes()


def _name(path: Path) -> str:
    """A file's name as UTF-8 can say it: on Linux it is bytes of any kind."""
    return path.name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _text(value: OptionValue) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _part(boundary: str, disposition: str) -> bytes:
    return f"--{boundary}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n".encode()

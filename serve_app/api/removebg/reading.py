"""A request's parameters and files, from a multipart, urlencoded or JSON body."""

import asyncio
import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from starlette.requests import Request

from serve_app.api.parts import Part, read_form
from serve_app.api.receiving import receive_body, too_large
from serve_app.api.remote import Remote
from serve_app.api.removebg.faults import Fault
from serve_app.errors import DownloadFailed, DownloadTimeout, UrlNotAllowed
from serve_app.settings import Limits
from serve_app.types import Upload

MAX_BYTES = 22_000_000  # of one file; the native limit holds where it is lower

_FILES = ("image_file", "bg_image_file")
_SOURCES = ("image_file", "image_file_b64", "image_url")
_BACKGROUNDS = ("bg_color", "bg_image_file", "bg_image_url")
_MAX_FIELDS = 100
_OVERHEAD = 1_000_000  # bytes of a body that are not files


@dataclass(frozen=True, slots=True)
class Call:
    """What came: text parameters that are set, and files."""

    fields: Mapping[str, str]
    files: Mapping[str, bytes]

    def has(self, name: str) -> bool:
        return name in self.fields or name in self.files


async def read_call(request: Request, max_bytes: int, limits: Limits) -> Call:
    """Read the body; a parameter that is an empty string or null counts as not given.

    Raises:
        Fault: not a body that can be read, two sources or none, two backgrounds.
        InputError: a file or the whole body over its limit, or a broken form.
    """
    text_bytes = max_bytes * 4 // 3 + _OVERHEAD  # 4/3: base64
    pieces = receive_body(request, len(_FILES) * text_bytes, limits)
    content_type = request.headers.get("content-type", "")
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        call = _multipart(await read_form(content_type, pieces, text_bytes), max_bytes)
    else:
        body = b"".join([piece async for piece in pieces])
        # In a thread: parsing megabytes of base64 takes a while.
        parse = _json if kind == "application/json" else _urlencoded
        call = await asyncio.to_thread(parse, body)
    _check_sources(call)
    return call


async def read_upload(call: Call, remote: Remote) -> Upload:
    """Bring the call's files together, whether sent, in base64 or behind a URL.

    Raises:
        Fault: a URL that may not or cannot be fetched, or text that isn't base64.
    """
    image = call.files.get("image_file") or b""
    if "image_file_b64" in call.fields:
        image = _unbase64(call.fields["image_file_b64"])
    elif "image_url" in call.fields:
        image = await _download(remote, call.fields["image_url"], "image")
    background = call.files.get("bg_image_file")
    if "bg_image_url" in call.fields:
        background = await _download(remote, call.fields["bg_image_url"], "bg")
    return Upload(image, background)


def _multipart(parts: list[Part], max_bytes: int) -> Call:
    files: dict[str, bytes] = {}
    for part in parts:
        if part.size and not part.data:  # more than is kept of any part
            raise too_large(part.size, max_bytes)
        # A browser sends a file field that was left empty as a file of no bytes and no name.
        if part.is_file and part.name in _FILES and (part.size or part.filename):
            if part.name in files:
                raise _multiple_sources()
            if part.size > max_bytes:
                raise too_large(part.size, max_bytes)
            files[part.name] = part.data
    return Call(_given((part.name, part.text) for part in parts if not part.is_file), files)


def _json(body: bytes) -> Call:
    try:
        values = json.loads(body)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise Fault("invalid_json", "Invalid JSON", "the body is not a JSON object")
    fields = {}
    for name, value in values.items():
        if isinstance(value, bool):
            fields[name] = "true" if value else "false"
        elif value is not None:
            text = value if isinstance(value, str) else json.dumps(value)
            # JSON can escape half of a surrogate pair, which nothing that is sent on can hold.
            fields[name] = text.encode("utf-8", "replace").decode()
    return Call(_given(fields.items()), {})


def _urlencoded(body: bytes) -> Call:
    try:
        pairs = parse_qsl(body.decode("utf-8", "replace"), max_num_fields=_MAX_FIELDS)
    except ValueError as exc:
        raise Fault(
            "invalid_request", "Invalid request", f"more than {_MAX_FIELDS} fields: send fewer"
        ) from exc
    return Call(_given(pairs), {})


def _given(fields: Iterable[tuple[str, str]]) -> dict[str, str]:
    return {name: value for name, value in fields if value.strip()}


def _check_sources(call: Call) -> None:
    sources = [name for name in _SOURCES if call.has(name)]
    if not sources:
        raise Fault(
            "missing_source",
            "No image given",
            "Please provide the source image in the image_url, image_file or image_file_b64 "
            "parameter.",
        )
    if len(sources) > 1:
        raise _multiple_sources()
    if sum(call.has(name) for name in _BACKGROUNDS) > 1:
        raise Fault(
            "multiple_bg_sources",
            "Multiple background sources given",
            f"Please provide at most one of {', '.join(_BACKGROUNDS)}.",
        )


def _multiple_sources() -> Fault:
    return Fault(
        "multiple_sources",
        "Multiple image sources given",
        "Please provide either the image_url, image_file or image_file_b64 parameter.",
    )


def _unbase64(text: str) -> bytes:
    if text.startswith("data:"):
        text = text.partition(",")[2]
    # A form that wasn't percent-encoded turns + into a space; line breaks are usual in base64.
    text = text.replace(" ", "+").replace("\n", "").replace("\r", "")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as exc:
        raise Fault(
            "failed_to_read_image",
            "Failed to read image",
            "image_file_b64 is not base64: encode the file's bytes, without line prefixes",
        ) from exc


async def _download(remote: Remote, url: str, what: str) -> bytes:
    name = "image_url" if what == "image" else "bg_image_url"
    try:
        return await remote.fetch(url)
    except UrlNotAllowed as exc:
        raise Fault(f"invalid_{name}", f"Invalid {name} parameter given", exc.detail) from exc
    except (DownloadFailed, DownloadTimeout) as exc:
        raise Fault(f"failed_{what}_download", "Failed to download image", exc.detail) from exc

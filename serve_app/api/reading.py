"""Reading a matting request: the files and the options in it, within the limits."""

from collections.abc import Mapping

from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.types import Message, Receive

from serve_app.errors import FileTooLarge, InvalidOption, MissingImage, MultipleImages
from serve_app.settings import Limits
from serve_app.types import Upload

FILES = ("image", "background_image", "trimap")

_FORM_OVERHEAD = 1_000_000  # bytes of a multipart body that are not files: boundaries, fields
_MAX_FIELDS = 100

_HOW = "send it as multipart field 'image', or as the raw body with an image/* content type"


async def read_matting_request(request: Request, limits: Limits) -> tuple[Upload, dict[str, str]]:
    """Read the upload and the options as text, not yet checked.

    Raises:
        InputError: no image, several, a file over the limit, or an option given twice.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    query = list(request.query_params.multi_items())
    if kind == "multipart/form-data":
        upload = bounded(request, len(FILES) * limits.max_bytes + _FORM_OVERHEAD)
        async with upload.form(max_files=_MAX_FIELDS, max_fields=_MAX_FIELDS) as form:
            fields = [(k, v) for k, v in form.multi_items() if isinstance(v, str)]
            files = await _read_files(form, limits)
        return _upload(files, fields), merged_options([*query, *fields])
    if kind.startswith("image/") or kind == "application/octet-stream":
        body = await bounded(request, limits.max_bytes).body()
        if not body:
            raise MissingImage(f"the body is empty: {_HOW}")
        return Upload(body), merged_options(query)
    raise MissingImage(f"no image in a body of content type '{kind[:64]}': {_HOW}")


async def _read_files(form: FormData, limits: Limits) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for name, value in form.multi_items():
        if not isinstance(value, UploadFile):
            continue
        if name not in FILES:
            raise InvalidOption(f"unknown file field '{name}': the files are {', '.join(FILES)}")
        if name in files:
            if name == "image":
                raise MultipleImages(
                    "two files in field 'image': send one here, or all to /v1/matting/batch"
                )
            raise InvalidOption(f"two files in field '{name}': send one")
        if (value.size or 0) > limits.max_bytes:
            raise _too_large(value.size or 0, limits.max_bytes)
        files[name] = await value.read()
    return files


def _upload(files: Mapping[str, bytes], fields: list[tuple[str, str]]) -> Upload:
    if "image" not in files:
        if any(name == "image" and value for name, value in fields):
            raise MissingImage("field 'image' holds text and not a file: curl -F image=@photo.jpg")
        raise MissingImage(f"no image in the request: {_HOW}")
    # A browser sends a file field that was left empty as a file of no bytes.
    return Upload(
        files["image"], files.get("background_image") or None, files.get("trimap") or None
    )


def merged_options(pairs: list[tuple[str, str]]) -> dict[str, str]:
    options: dict[str, str] = {}
    for name, value in pairs:
        if name in FILES and not value:
            continue
        if options.get(name, value) != value:
            raise InvalidOption(f"option '{name}' is given twice: give it once")
        options[name] = value
    return options


def bounded(request: Request, max_bytes: int) -> Request:
    """The same request, whose body ends in FileTooLarge where it passes the bound."""
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > max_bytes:
        raise _too_large(int(announced), max_bytes)
    return Request(request.scope, _counting(request.receive, max_bytes))


def _counting(receive: Receive, max_bytes: int) -> Receive:
    received = 0

    async def counted() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > max_bytes:
            raise _too_large(received, max_bytes)
        return message

    return counted


def _too_large(size: int, limit: int) -> FileTooLarge:
    return FileTooLarge(
        f"{size:,} bytes are over the limit of {limit:,}: send a smaller file, or raise "
        "limits.max_bytes in the settings"
    )

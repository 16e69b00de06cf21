"""Reading a matting request: the files and the options in it, within the limits."""

from collections.abc import Mapping

from starlette.requests import Request

from serve_app.api.parts import Part, read_form
from serve_app.api.receiving import receive_body, too_large
from serve_app.errors import InvalidOption, MissingImage, MultipleImages
from serve_app.settings import Limits
from serve_app.types import Upload

FILES = ("image", "background_image", "trimap")
MAX_OPTION = 1000  # bytes of an option's text

_FORM_OVERHEAD = 1_000_000  # bytes of a multipart body that are not files: boundaries, fields

_HOW = "send it as multipart field 'image', or as the raw body with an image/* content type"


async def read_matting_request(request: Request, limits: Limits) -> tuple[Upload, dict[str, str]]:
    """Read the upload and the options as text, not yet checked.

    Raises:
        InputError: no image, several, a file over the limit, or an option given twice.
    """
    content_type = request.headers.get("content-type", "")
    kind = content_type.partition(";")[0].strip().lower()
    query = list(request.query_params.multi_items())
    if kind == "multipart/form-data":
        pieces = receive_body(request, len(FILES) * limits.max_bytes + _FORM_OVERHEAD, limits)
        parts = await read_form(content_type, pieces, limits.max_bytes)
        fields = _fields([part for part in parts if not part.is_file])
        files = _files([part for part in parts if part.is_file], limits)
        return _upload(files, fields), merged_options([*query, *fields])
    if kind.startswith("image/") or kind == "application/octet-stream":
        pieces = receive_body(request, limits.max_bytes, limits)
        body = b"".join([piece async for piece in pieces])
        if not body:
            raise MissingImage(f"the body is empty: {_HOW}")
        return Upload(body), merged_options(query)
    raise MissingImage(f"no image in a body of content type '{kind[:64]}': {_HOW}")


def _fields(parts: list[Part]) -> list[tuple[str, str]]:
    for part in parts:
        if part.size > MAX_OPTION and part.name not in FILES:
            raise InvalidOption(
                f"option '{part.name[:60]}' has {part.size:,} bytes, the limit is {MAX_OPTION:,}: "
                "no value needs more"
            )
    return [(part.name, part.text) for part in parts]


def _files(parts: list[Part], limits: Limits) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for part in parts:
        if part.name not in FILES:
            raise InvalidOption(
                f"unknown file field '{part.name[:60]}': the files are {', '.join(FILES)}"
            )
        if part.name in files:
            if part.name == "image":
                raise MultipleImages(
                    "two files in field 'image': send one here, or all to /v1/matting/batch"
                )
            raise InvalidOption(f"two files in field '{part.name}': send one")
        if part.size > limits.max_bytes:
            raise too_large(part.size, limits.max_bytes)
        files[part.name] = part.data
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
    """Each option once; one that is empty is not given. Raises InvalidOption."""
    options: dict[str, str] = {}
    for name, value in pairs:
        if value and options.setdefault(name, value) != value:
            raise InvalidOption(f"option '{name[:60]}' is given twice: give it once")
    return options

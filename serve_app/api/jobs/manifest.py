"""A manifest: a CSV of image URIs with a header line, and options of their own for each row.

Columns: `uri`, needed; `name`, the file name of the output; every other one is an option, and an
empty cell is not given. A bad row is an image that failed; it stops no other.
"""

import csv
import io
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from serve_app.api.jobs.storage import JobFile
from serve_app.errors import InputError, MissingImage
from serve_app.options import Options

Settle = Callable[[Mapping[str, str]], Options]


def read_manifest(data: bytes, settle: Settle, max_files: int) -> list[JobFile]:
    """Read the rows; `settle` makes the options of one that has its own.

    Raises:
        InputError: no CSV in UTF-8, no column `uri`, or too many rows.
        MissingImage: no rows.
    """
    try:
        rows = list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))
    except (UnicodeDecodeError, csv.Error) as exc:
        raise InputError(f"the manifest is no CSV in UTF-8: {exc}") from exc
    if not rows:
        raise MissingImage("the manifest has no rows: a header line with 'uri', then an image each")
    if "uri" not in rows[0]:
        raise InputError("the manifest has no column 'uri', which names the images: add one")
    if len(rows) > max_files:
        raise InputError(
            f"{len(rows)} rows in the manifest, the limit is {max_files}: send the rest as "
            "another job"
        )
    return [_file(number, row, settle) for number, row in enumerate(rows, 1)]


def _file(number: int, row: dict[str | Any, str | Any], settle: Settle) -> JobFile:
    extra, missing = row.pop(None, None), [name for name, cell in row.items() if cell is None]
    cells = {name: str(cell or "").strip() for name, cell in row.items()}
    uri, name = cells.pop("uri"), cells.pop("name", "")
    name = name or _name(uri) or f"row {number}"
    try:
        if extra or missing:
            raise InputError(f"row {number} has not as many cells as the header has: quote commas")
        if not uri:
            raise InputError(f"row {number} has no uri: give the URL of an image")
        own = {option: cell for option, cell in cells.items() if cell}
        options = settle(own).model_dump() if own else None
    except InputError as exc:
        return JobFile(name, uri, code=exc.code, detail=exc.detail)
    return JobFile(name, uri, options=options)


def _name(uri: str) -> str:
    try:
        return unquote(PurePosixPath(urlsplit(uri).path).name)
    except ValueError:
        return ""

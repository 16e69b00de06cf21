"""A manifest: a table of image URIs, and options of their own for each row.

Columns: `uri`, needed; `name`, the file name of the output; every other one is an option, and an
empty cell is not given. A bad row is an image that failed; it stops no other.
"""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from serve_app.errors import InputError, MissingImage
from serve_app.options import Options

Settle = Callable[[Mapping[str, str]], Options]
"""Makes the options of a row that has its own."""

Cells = Mapping[Any, Any]


@dataclass(frozen=True, slots=True)
class ManifestRow:
    """One image, or what is wrong with its row."""

    name: str  # as given, or the file name within the URI
    uri: str
    options: Options | None = None  # its own
    error: InputError | None = None


def read_csv(data: bytes, most: int | None = None) -> list[dict[str | Any, str | Any]]:
    """The rows of a CSV with a header line, `most` of them at most.

    Raises:
        InputError: no CSV in UTF-8.
    """
    try:
        rows = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""))
        return list(islice(rows, most))
    except (UnicodeDecodeError, csv.Error) as exc:
        raise InputError(f"the manifest is no CSV in UTF-8: {exc}") from exc


def check_rows(rows: Sequence[Cells]) -> None:
    """See that there is something to do.

    Raises:
        InputError: no column `uri`.
        MissingImage: no rows.
    """
    if not rows:
        raise MissingImage("the manifest has no rows: a header line with 'uri', then an image each")
    if "uri" not in rows[0]:
        raise InputError("the manifest has no column 'uri', which names the images: add one")


def read_row(number: int, row: Cells, settle: Settle) -> ManifestRow:
    """Read one row; counting begins at 1."""
    given = {column: cell for column, cell in row.items() if column is not None}
    missing = [column for column, cell in given.items() if cell is None]
    cells = {str(column): str(cell or "").strip() for column, cell in given.items()}
    uri, name = cells.pop("uri"), cells.pop("name", "")
    name = name or _name(uri) or f"row {number}"
    try:
        if row.get(None) or missing:
            raise InputError(f"row {number} has not as many cells as the header has: quote commas")
        if not uri:
            raise InputError(f"row {number} has no uri: give the URL of an image")
        own = {option: cell for option, cell in cells.items() if cell}
        options = settle(own) if own else None
    except InputError as exc:
        return ManifestRow(name, uri, error=exc)
    return ManifestRow(name, uri, options)


def _name(uri: str) -> str:
    try:
        return unquote(PurePosixPath(urlsplit(uri).path).name)
    except ValueError:
        return ""

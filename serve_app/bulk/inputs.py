"""What SRC holds: a folder, a glob, one image, or a manifest, here or in a store.

folder      every image in it and below
glob        photos/*/front-?.jpg, s3://bucket/2024/**/*.png
manifest    CSV or Parquet with the columns `uri`, `name` and any option
"""

import io
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import urlsplit, urlunsplit

from serve_app.bulk.places import OWN, Folder, LocalFolder, local_path, open_folder, read_uri
from serve_app.errors import InputError
from serve_app.manifest import Cells, Settle, check_rows, read_csv, read_row
from serve_app.names import escaped, is_image_name

_MANIFESTS = (".csv", ".parquet")
_WILD = re.compile(r"[*?\[]")
_RESERVED = {"report.html", "report.json", "errors.jsonl"}


@dataclass(frozen=True, slots=True)
class Input:
    """One image to do, or what is wrong with its row."""

    uri: str
    name: str  # of its output within DST, before its suffix is decided
    stamp: str = ""  # changes when the input does, or its own options
    options: str = ""  # its own, as JSON
    format: str = ""  # of its own options
    error: InputError | None = None
    mtime: float | None = None  # unix time, s


def is_manifest(source: str) -> bool:
    return _suffix(source) in _MANIFESTS


def _suffix(source: str) -> str:
    return PurePosixPath(_without_query(source)[0]).suffix.lower()


def read_inputs(source: str, target: str, settle: Settle) -> list[Input]:
    """Everything that SRC names, in one order.

    Raises:
        InputError: SRC is not there, cannot be read, or holds no image.
    """
    try:
        if is_manifest(source):
            return list(_manifest(source, settle))
        return list(_listed(source, target))
    except OSError as exc:
        detail = exc.strerror or str(exc)
        raise InputError(f"SRC '{exc.filename or source}' cannot be read: {detail}") from exc


def _listed(source: str, target: str) -> Iterator[Input]:
    """The images of a folder or a glob; outputs that lie within it are none."""
    path = local_path(source)
    folder: Folder
    pattern: str | None
    if path and path.is_file():
        folder, pattern = LocalFolder(path.parent), re.escape(path.name)
    elif _is_glob(source) and not (path and path.is_dir()):
        base, wild = _split(source)
        folder, pattern = open_folder(base), _as_regex(wild)
    else:
        folder, pattern = open_folder(source), None
        if path and not path.is_dir():
            raise InputError(f"SRC '{source}' is no folder, image, glob or manifest: name one")
    within = _within(target, _real_name(folder))
    for found in folder.files():
        if not is_image_name(found.path) or found.path.startswith(f"{OWN}/"):
            continue
        if within is not None and found.path.startswith(within):
            continue
        if pattern is None or re.fullmatch(pattern, found.path):
            yield _checked(
                Input(folder.uri(found.path), found.path, found.stamp, mtime=found.mtime)
            )


def _within(target: str, source: str) -> str | None:
    """DST as a path within SRC, with `/` at its end; None where it is elsewhere."""
    folder = _real_name(open_folder(target))
    if folder == source:
        raise InputError(f"SRC and DST are both '{target}': give DST a folder of its own")
    return folder[len(source) + 1 :] + "/" if folder.startswith(f"{source}/") else None


def _real_name(folder: Folder) -> str:
    """A folder's name, the same by whatever links it is reached."""
    if isinstance(folder, LocalFolder):
        return str(folder.root.resolve())
    return folder.name.rstrip("/")


def _manifest(source: str, settle: Settle) -> Iterator[Input]:
    data = read_uri(source)
    rows = _read_table(data, source)
    check_rows(rows)
    for number, cells in enumerate(rows, 1):
        row = read_row(number, cells, settle)
        if row.error:
            yield Input(row.uri, row.name, error=row.error)
            continue
        own = row.options.model_dump_json() if row.options else ""
        format = row.options.format if row.options else ""
        yield _checked(Input(_beside(source, row.uri), row.name, _digest(own), own, format))


def _beside(manifest: str, uri: str) -> str:
    """What a row names: a path that is not absolute starts where the manifest lies."""
    if "://" in uri or uri.startswith("/"):
        return uri
    if path := local_path(manifest):
        return str(path.parent / uri)
    parts = urlsplit(manifest)
    return urlunsplit(parts._replace(path=str(PurePosixPath(parts.path).parent / uri)))


def _read_table(data: bytes, source: str) -> list[Cells]:
    if _suffix(source) == ".csv":
        return list(read_csv(data))
    from pyarrow import ArrowException, parquet

    try:
        rows = parquet.read_table(io.BytesIO(data)).to_pylist()
    except (ArrowException, OSError) as exc:
        raise InputError(f"the manifest '{source}' is no Parquet file: {exc}") from exc
    return [{column: _cell(cell) for column, cell in row.items()} for row in rows]


def _cell(cell: object) -> str:
    """As a CSV would have it; a number that is missing is a NaN."""
    missing = cell is None or (isinstance(cell, float) and math.isnan(cell))
    return "" if missing else str(cell)


def _digest(own: str) -> str:
    """A row's own options, in one order; nothing else of a manifest's image is known."""
    return json.dumps(json.loads(own), sort_keys=True) if own else ""


def _checked(input: Input) -> Input:
    """The input, with an error where its name has no place in DST."""
    parts = input.name.split("/")
    uri, name = escaped(input.uri), escaped(input.name)
    if (uri, name) != (input.uri, input.name):  # what is written down here is UTF-8
        error = InputError(f"the name '{name}' is not in UTF-8: rename the file")
        return Input(uri, name, error=error)
    if input.name.startswith("/") or "\\" in input.name or "\0" in input.name:
        rule = "is no path within DST"
    elif ".." in parts or "." in parts or "" in parts:
        rule = "leaves DST or has an empty part"
    elif parts[0] == OWN or input.name in _RESERVED:
        rule = "is the job's own"
    else:
        return input
    error = InputError(f"the name '{input.name}' {rule}: give one such as folder/image.jpg")
    return Input(input.uri, input.name, error=error)


def _is_glob(source: str) -> bool:
    return bool(_WILD.search(_without_query(source)[0]))


def _without_query(source: str) -> tuple[str, str]:
    """A URI and its query, with the question mark; a path has none."""
    if "://" not in source:
        return source, ""
    uri, mark, query = source.partition("?")
    return uri, mark + query


def _split(glob: str) -> tuple[str, str]:
    """The folder before the first wildcard, and the rest."""
    glob, query = _without_query(glob)
    parts = glob.split("/")
    first = next(i for i, part in enumerate(parts) if _WILD.search(part))
    base = "/".join(parts[:first])
    base = base or ("/" if glob.startswith("/") else ".")
    return base + query, "/".join(parts[first:])


def _as_regex(glob: str) -> str:
    """`*` and `?` stay within one folder, `**/` goes through any number of them."""
    out, rest = "", glob
    while rest:
        if rest.startswith("**/"):
            out, rest = out + "(?:.*/)?", rest[3:]
        elif rest.startswith("**"):
            out, rest = out + ".*", rest[2:]
        elif rest[0] in "*?":
            out, rest = out + ("[^/]*" if rest[0] == "*" else "[^/]"), rest[1:]
        elif rest[0] == "[" and "]" in rest[2:]:
            end = rest.index("]", 2)
            out, rest = out + "[" + rest[1:end].replace("!", "^", 1) + "]", rest[end + 1 :]
        else:
            out, rest = out + re.escape(rest[0]), rest[1:]
    return out

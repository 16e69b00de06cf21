"""Names of outputs: the input's, with the suffix of what comes out, and each only once."""

from collections.abc import Iterable
from pathlib import PurePosixPath

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif"}
SUFFIXES = {"png": ".png", "webp": ".webp", "jpeg": ".jpg", "zip": ".zip"}  # by output format


def is_image_name(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES


def escaped(name: str) -> str:
    """A file's name as text that can be written down: what is no UTF-8 in it is escaped."""
    return name.encode("utf-8", "backslashreplace").decode()


def output_name(name: str, format: str) -> str:
    """The name of what becomes of an input; a suffix that is no image's belongs to the name."""
    path = PurePosixPath(name)
    known = path.suffix.lower() in {*IMAGE_SUFFIXES, *SUFFIXES.values()}
    suffix = SUFFIXES["png" if format == "auto" else format]
    return str(path.with_suffix(suffix)) if known else f"{path}{suffix}"


class UniqueNames:
    """Gives names that are not taken: `a.png`, then `a-2.png`; the same whatever the case."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = {name.lower() for name in taken}
        self._next: dict[str, int] = {}  # thousands may want one name: the numbers before are taken

    def take(self, wanted: str) -> str:
        path, name = PurePosixPath(wanted), wanted
        number = self._next.get(wanted.lower(), 2)
        while name.lower() in self._taken:
            name = str(path.with_stem(f"{path.stem}-{number}"))
            number += 1
        self._next[wanted.lower()] = number
        self._taken.add(name.lower())
        return name

"""Names of outputs: the input's, with the suffix of what comes out, and each only once."""

from collections.abc import Iterable
from pathlib import PurePosixPath

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif"}
SUFFIXES = {"png": ".png", "webp": ".webp", "jpeg": ".jpg", "zip": ".zip"}  # by output format


def is_image_name(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES


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

    def take(self, wanted: str) -> str:
        path, name, number = PurePosixPath(wanted), wanted, 2
        while name.lower() in self._taken:
            name = str(path.with_stem(f"{path.stem}-{number}"))
            number += 1
        self._taken.add(name.lower())
        return name

"""Where `cvunet matte` writes, settled before anything is worked on.

Neither an image that it reads nor what is no file is ever written over.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from serve_app.errors import InputError
from serve_app.names import IMAGE_SUFFIXES, SUFFIXES, UniqueNames, is_image_name, output_name

_FORMATS = {suffix: name for name, suffix in SUFFIXES.items()} | {".jpeg": "jpeg"}


def format_of(out: str, asked: str | None) -> str | None:
    """The format that a file's suffix and `--format` ask for together; None where neither does.

    Raises:
        InputError: they contradict each other, or nothing writes such a file.
    """
    suffix = Path(out).suffix.lower()
    by_suffix = _FORMATS.get(suffix)
    if asked in (None, "", "auto"):
        if by_suffix is None and suffix in IMAGE_SUFFIXES:
            raise InputError(
                f"OUT '{out}': {suffix} is read and not written: end it in {' '.join(_FORMATS)}"
            )
        return by_suffix
    if asked in SUFFIXES and suffix in {*IMAGE_SUFFIXES, *_FORMATS} and by_suffix != asked:
        raise InputError(
            f"OUT '{out}' and --format {asked} contradict each other: end it in {SUFFIXES[asked]}, "
            "or leave out --format"
        )
    return asked


def target_file(source: Path, out: str, format: str) -> Path:
    """The file for one image; OUT may be a folder, which it is too where it ends in a slash.

    Raises:
        InputError: it is the image itself, or something that is no file.
    """
    target = Path(out)
    if target.is_dir() or out.endswith(("/", os.sep)):
        target /= output_name(source.name, format)
    if not target.exists():
        return target
    if source.exists() and target.samefile(source):
        raise InputError(f"IN and OUT are both '{target}': give OUT another name")
    if not target.is_file():  # a device or a pipe: moving a file into its place would remove it
        raise InputError(f"OUT '{target}' is no file and no folder: name one to write")
    return target


def target_files(folder: Path, out: Path, format: str) -> Iterator[tuple[Path, Path]]:
    """Each image of a folder and those below it, and its place in OUT.

    `a.jpg` and `a.png` get names of their own; what lies in OUT is none of the images.

    Raises:
        InputError: OUT is the folder itself, or a file.
    """
    source_root, target_root, taken = folder.resolve(), out.resolve(), UniqueNames()
    if target_root == source_root:
        raise InputError(f"IN and OUT are both '{folder}': give OUT a folder of its own")
    if out.exists() and not out.is_dir():
        raise InputError(f"IN '{folder}' is a folder and OUT '{out}' is none: name a folder")
    is_within = target_root.is_relative_to(source_root)
    for source in sorted(folder.rglob("*")):
        if not is_image_name(source.name) or not source.is_file():
            continue
        if is_within and source.parent.resolve().is_relative_to(target_root):
            continue
        name = output_name(source.relative_to(folder).as_posix(), format)
        yield source, out / taken.take(name)

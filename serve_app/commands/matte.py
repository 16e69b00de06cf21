"""`cvunet matte IN OUT`: a file, or a folder of them; the service's own pipeline without Ray."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tqdm import tqdm

from serve_app.commands.model_arguments import add_model_arguments, read_settings
from serve_app.commands.option_arguments import (
    add_option_arguments,
    given_options,
    settle_options,
)
from serve_app.engines import open_engine
from serve_app.errors import InputError, InvalidOption, MattingError
from serve_app.names import IMAGE_SUFFIXES, SUFFIXES, UniqueNames, output_name
from serve_app.options import Options, load_presets
from serve_app.pipeline import Pipeline
from serve_app.settings import resolve_path
from serve_app.types import Upload

_FORMATS = {suffix: name for name, suffix in SUFFIXES.items()} | {".jpeg": "jpeg"}


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "matte",
        help="cut the subject out of one image or a folder of them",
        description="Cut the subject out of one image, or of every image in a folder.",
    )
    parser.add_argument("source", type=Path, metavar="IN", help="an image, or a folder of images")
    parser.add_argument("target", type=Path, metavar="OUT", help="a file, or a folder to fill")
    options = add_option_arguments(parser)
    options.add_argument("--trimap", type=Path, metavar="FILE", help="0 back, 255 front, else open")
    add_model_arguments(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Matte what was asked for; of a folder, every image that can be: the rest is named."""
    settings = read_settings(arguments)
    options = _read_options(arguments, load_presets(resolve_path(settings.presets_path)))
    source: Path = arguments.source
    if source.is_dir() and arguments.trimap:
        raise InvalidOption("--trimap fits one image: matte the folder's images one by one")
    pipeline = Pipeline(open_engine(settings.model), settings.limits, settings.batching.bucket_step)
    if source.is_dir():
        return _matte_folder(pipeline, arguments, options)
    target: Path = arguments.target
    if target.is_dir():
        target = target / (source.stem + SUFFIXES[_format(options)])
    _matte_file(pipeline, source, target, arguments, options)
    return 0


def _read_options(arguments: argparse.Namespace, presets: dict[str, dict[str, Any]]) -> Options:
    given = given_options(arguments)
    by_suffix = _FORMATS.get(arguments.target.suffix.lower())
    if by_suffix and not arguments.source.is_dir():
        given["format"] = given["format"] or by_suffix
    return settle_options(given, arguments, presets)


def _matte_folder(pipeline: Pipeline, arguments: argparse.Namespace, options: Options) -> int:
    pairs = list(_pairs(arguments.source, arguments.target, _format(options)))
    if not pairs:
        raise InputError(
            f"no images in '{arguments.source}': looked for {' '.join(sorted(IMAGE_SUFFIXES))}"
        )
    failed = 0
    with tqdm(pairs, unit="image", disable=None) as progress:
        for source, target in progress:
            try:
                _matte_file(pipeline, source, target, arguments, options)
            except (MattingError, OSError) as exc:
                failed += 1
                detail = exc.detail if isinstance(exc, MattingError) else exc.strerror
                progress.write(f"{source}: {detail}", file=sys.stderr)
    print(f"{len(pairs) - failed} done, {failed} failed", file=sys.stderr)
    return 1 if failed else 0


def _matte_file(
    pipeline: Pipeline, source: Path, target: Path, arguments: argparse.Namespace, options: Options
) -> None:
    upload = Upload(
        source.read_bytes(),
        arguments.background_image and arguments.background_image.read_bytes(),
        arguments.trimap and arguments.trimap.read_bytes(),
    )
    result = pipeline.run(upload, options)
    target.parent.mkdir(parents=True, exist_ok=True)
    # Written beside and moved into place: whoever looks sees a whole file or none.
    part = target.with_name(target.name + ".part")
    part.write_bytes(result.body)
    part.replace(target)


def _pairs(folder: Path, out: Path, format: str) -> Iterator[tuple[Path, Path]]:
    """Each image of the tree and its place in the other; `a.jpg` and `a.png` don't collide."""
    names = UniqueNames()
    for source in sorted(folder.rglob("*")):
        if source.suffix.lower() not in IMAGE_SUFFIXES or not source.is_file():
            continue
        yield source, out / names.take(output_name(source.relative_to(folder).as_posix(), format))


def _format(options: Options) -> str:
    return "png" if options.format == "auto" else options.format

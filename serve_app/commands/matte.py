"""`cvunet matte IN OUT`: a file, or a folder of them; the service's own pipeline without Ray."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from serve_app.commands.destination import format_of, target_file, target_files
from serve_app.commands.model_arguments import add_model_arguments, read_settings
from serve_app.commands.option_arguments import (
    add_option_arguments,
    given_options,
    settle_options,
)
from serve_app.engines import open_engine
from serve_app.errors import InputError, InvalidOption, MattingError
from serve_app.files import replace_file
from serve_app.names import IMAGE_SUFFIXES
from serve_app.options import Options, load_presets
from serve_app.pipeline import Pipeline
from serve_app.settings import Settings, resolve_path
from serve_app.types import Upload

Pairs = list[tuple[Path, Path]]


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "matte",
        help="cut the subject out of one image or a folder of them",
        description="Cut the subject out of one image, or of every image in a folder and below. "
        "Exit status: 0 done, 1 some images of a folder failed, 2 nothing could be done.",
    )
    parser.add_argument("source", type=Path, metavar="IN", help="an image, or a folder of images")
    parser.add_argument("target", metavar="OUT", help="a file, or a folder to fill")
    options = add_option_arguments(parser)
    options.add_argument("--trimap", type=Path, metavar="FILE", help="0 back, 255 front, else open")
    add_model_arguments(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Matte what was asked for; of a folder, every image that can be: the rest is named."""
    settings = read_settings(arguments)
    presets = load_presets(resolve_path(settings.presets_path))
    if arguments.source.is_dir():
        return _matte_folder(settings, arguments, presets)
    given = given_options(arguments)
    given["format"] = format_of(arguments.target, given["format"])
    options = settle_options(given, arguments, presets)
    target = target_file(arguments.source, arguments.target, _format(options))
    upload = Upload(
        arguments.source.read_bytes(), _read(arguments.background_image), _read(arguments.trimap)
    )
    _matte_file(_pipeline(settings), upload, options, target)
    return 0


def _matte_folder(
    settings: Settings, arguments: argparse.Namespace, presets: dict[str, dict[str, Any]]
) -> int:
    options = settle_options(given_options(arguments), arguments, presets)
    if arguments.trimap:
        raise InvalidOption("--trimap fits one image: matte the folder's images one by one")
    target = Path(arguments.target)
    pairs = list(target_files(arguments.source, target, _format(options)))
    if not pairs:
        raise InputError(
            f"no images in '{arguments.source}': looked for {' '.join(sorted(IMAGE_SUFFIXES))}"
        )
    target.mkdir(parents=True, exist_ok=True)
    beside = Upload(b"", _read(arguments.background_image))
    failed = _matte_files(_pipeline(settings), pairs, beside, options)
    print(f"{len(pairs) - failed} done, {failed} failed", file=sys.stderr)
    return 0 if not failed else 1 if failed < len(pairs) else 2


def _matte_files(pipeline: Pipeline, pairs: Pairs, beside: Upload, options: Options) -> int:
    """How many failed, each of which is named; `beside` is what goes with every image."""
    failed = 0
    with tqdm(pairs, unit="image", disable=None) as progress:
        for source, target in progress:
            try:
                upload = replace(beside, image=source.read_bytes())
                _matte_file(pipeline, upload, options, target)
            except (MattingError, OSError) as exc:
                failed += 1
                detail = exc.detail if isinstance(exc, MattingError) else exc.strerror or exc
                progress.write(f"{source}: {detail}", file=sys.stderr)
    return failed


def _matte_file(pipeline: Pipeline, upload: Upload, options: Options, target: Path) -> None:
    result = pipeline.run(upload, options)
    target.parent.mkdir(parents=True, exist_ok=True)
    replace_file(target, result.body)


def _pipeline(settings: Settings) -> Pipeline:
    return Pipeline(open_engine(settings.model), settings.limits, settings.batching.bucket_step)


def _read(path: Path | None) -> bytes | None:
    return path.read_bytes() if path else None


def _format(options: Options) -> str:
    return "png" if options.format == "auto" else options.format

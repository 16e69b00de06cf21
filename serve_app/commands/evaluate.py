"""`cvunet evaluate`: scores the service's mattes against true ones, at the original resolution."""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tqdm import tqdm

from serve_app.commands.model_arguments import add_model_arguments, read_settings
from serve_app.engines import open_engine
from serve_app.errors import MattingError
from serve_app.evaluation import Pair, Scores, match_pairs, mean_scores, read_alpha, score
from serve_app.names import escaped
from serve_app.options import DEFAULT_PRESET, Options, load_presets, resolve_options
from serve_app.pipeline import Pipeline
from serve_app.settings import resolve_path
from serve_app.types import Upload

_COLUMNS = ("iou", "sad", "mse", "mad", "grad", "conn")


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "evaluate",
        help="score mattes against true ones",
        description="Matte every image and compare with the alpha of the same file name: IoU at "
        "0.5, and SAD, MSE, MAD, Grad and Conn as alphamatting.com defines them (SAD, Grad and "
        "Conn in thousands). Exit status: 0 all scored, 1 some could not be, 2 none.",
    )
    parser.add_argument("--images", type=Path, required=True, metavar="DIR")
    parser.add_argument("--alphas", type=Path, required=True, metavar="DIR")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every image's scores")
    parser.add_argument("--preset", default=DEFAULT_PRESET, help=f"({DEFAULT_PRESET})")
    add_model_arguments(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Score all that can be scored; what can't is named, and the exit status is 1."""
    settings = read_settings(arguments)
    presets = load_presets(resolve_path(settings.presets_path))
    options = resolve_options({"preset": arguments.preset}, presets)
    pairs = match_pairs(arguments.images, arguments.alphas)
    if arguments.json:
        arguments.json.open("ab").close()  # now, and not when all the work is done
    engine = open_engine(settings.model)
    pipeline = Pipeline(engine, settings.limits, settings.batching.bucket_step)
    scores: dict[str, Scores] = {}
    with tqdm(pairs, unit="image", disable=None) as progress:
        for pair in progress:
            try:
                scores[pair.name] = _score(pipeline, pair, options)
            except (MattingError, OSError) as exc:
                detail = exc.detail if isinstance(exc, MattingError) else exc.strerror or exc
                progress.write(f"{pair.name}: {detail}", file=sys.stderr)
    mean = mean_scores(list(scores.values()))
    _print_table({**scores, f"mean of {len(scores)}": mean})
    if arguments.json:
        report = {
            "model": asdict(engine.info),
            "preset": arguments.preset,
            "mean": asdict(mean),
            "images": {name: asdict(each) for name, each in scores.items()},
        }
        arguments.json.write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    return 0 if len(scores) == len(pairs) else 1


def _score(pipeline: Pipeline, pair: Pair, options: Options) -> Scores:
    truth = read_alpha(pair.alpha)
    return score(pipeline.alpha(Upload(pair.image.read_bytes()), options), truth)


def _print_table(rows: dict[str, Scores]) -> None:
    shown = {_printable(name): scores for name, scores in rows.items()}
    width = max(len(name) for name in shown)
    print(f"{'image':{width}}" + "".join(f"{column:>10}" for column in _COLUMNS))
    for name, scores in shown.items():
        print(f"{name:{width}}" + "".join(f"{getattr(scores, c):10.4f}" for c in _COLUMNS))


def _printable(name: str) -> str:
    """A file's name as any terminal takes it: what is no UTF-8, or no text, is escaped."""
    text = escaped(name)
    return text if text.isprintable() else repr(text)[1:-1]

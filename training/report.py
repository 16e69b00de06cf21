"""What came of a run: scores by source, curves and a contact sheet.

A checkpoint is judged again, without training, with
`python -m training.report --config configs/train.yaml --data DATA --checkpoint FILE --out FOLDER`
"""

import argparse
import json
import logging
import sys
from dataclasses import asdict
from itertools import groupby
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from serve_app.errors import SetupError
from serve_app.models.checkpoint import load_checkpoint, save_checkpoint
from training.loop import LOG_FILE, read_log
from training.settings import Losses, load_settings
from training.sheet import prediction_rows, write_sheet
from training.validate import Example, all_scores, by_source, load_examples, some

log = logging.getLogger(__name__)

FINAL_FILE = "cvunet_matting.safetensors"
_SHOWN = 4  # examples of each source on the contact sheet


def write_report(checkpoint: Path, examples: list[Example], out: Path, version: str) -> None:
    """Judge a checkpoint and write it with its scores, `scores.json` and the pictures to `out`."""
    model, _ = load_checkpoint(checkpoint)
    scores = all_scores(model, examples)
    means = {name: asdict(mean) for name, mean in by_source(examples, scores).items()}
    log.info("%d images: IoU %.4f, MAD %.4f", len(scores), means["all"]["iou"], means["all"]["mad"])
    numbers = {name: sum(e.source == name for e in examples) for name in means}
    each = {f"{e.source}/{e.name}": asdict(s) for e, s in zip(examples, scores, strict=True)}
    (out / "scores.json").write_text(
        json.dumps({"means": means, "images": numbers | {"all": len(examples)}, "each": each})
    )
    save_checkpoint(out / FINAL_FILE, model, version=version, metrics=means["all"])
    groups = groupby(examples, key=lambda example: example.source)
    shown = [example for _, group in groups for example in some(list(group), _SHOWN)]
    write_sheet(out / "contact_sheet.png", prediction_rows(model, shown), across=4)
    if (out / LOG_FILE).exists():
        draw_curves(out)


def draw_curves(out: Path) -> None:
    """Losses and validation scores over time, from the run's log to `curves.png`."""
    mpl.use("Agg")
    lines = list(read_log(out))
    training = [line for line in lines if "l1" in line]
    validation = [line for line in lines if "iou" in line]
    figure = Figure(figsize=(11, 4), layout="constrained")
    losses, scores = figure.subplots(1, 2)
    for name in Losses.model_fields:
        minutes = [line["seconds"] / 60 for line in training]
        losses.plot(minutes, running_mean([line[name] for line in training]), label=name)
    losses.set(yscale="log", xlabel="minutes", title="training losses")
    minutes = [line["seconds"] / 60 for line in validation]
    scores.plot(minutes, [line["iou"] for line in validation], "o-", label="IoU")
    scores.plot(minutes, [line["mad"] for line in validation], "o-", label="MAD")
    scores.set(ylim=(0, 1), xlabel="minutes", title="validation")
    for axes in (losses, scores):
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(out / "curves.png", dpi=110)


def running_mean(values: list[float], decay: float = 0.9) -> list[float]:
    """Batches differ much from one another; the trend is in the mean."""
    means: list[float] = []
    for value in values:
        means.append(decay * means[-1] + (1 - decay) * value if means else value)
    return means


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m training.report", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="settings, a YAML file")
    parser.add_argument("--data", type=Path, required=True, help="folder with val/")
    parser.add_argument("--checkpoint", type=Path, required=True, help="what to judge")
    parser.add_argument("--out", type=Path, required=True, help="folder for the report")
    parser.add_argument("--version", default="0.1.0", help="written into the checkpoint")
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        examples = load_examples(args.data / "val", load_settings(args.config).sources)
        args.out.mkdir(parents=True, exist_ok=True)
        write_report(args.checkpoint, examples, args.out, args.version)
    except SetupError as exc:
        print(f"error: {exc}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""`python -m training --config configs/train.yaml --data DATA --out RUN`."""

import argparse
import logging
import sys
from dataclasses import replace
from pathlib import Path

import torch

from serve_app.errors import SetupError
from training.data import load_collection
from training.grown import GROWN, grow
from training.loop import BEST_FILE, SOLVED_FOLDER, train
from training.report import write_report
from training.settings import load_settings
from training.validate import load_examples


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="settings, a YAML file")
    parser.add_argument("--data", type=Path, required=True, help="folder with train/ and val/")
    parser.add_argument("--out", type=Path, required=True, help="folder of this run")
    parser.add_argument("--init", type=Path, help="checkpoint to begin with, to train it further")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--version", default="0.1.0", help="written into the checkpoint")
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        settings = load_settings(args.config)
        if settings.threads:
            torch.set_num_threads(settings.threads)
        device = torch.device(args.device)
        collection = load_collection(
            args.data / "train", settings, device, args.out / SOLVED_FOLDER
        )
        if settings.grown.count:
            grown = grow(collection.cutouts, settings, device, args.out / GROWN)
            collection = replace(collection, cutouts=(*collection.cutouts, *grown))
        examples = load_examples(args.data / "val", settings.sources)
        train(settings, collection, examples, args.out, device, args.version, args.init)
        if (args.out / BEST_FILE).exists():
            write_report(args.out / BEST_FILE, examples, args.out, args.version)
    except SetupError as exc:
        print(f"error: {exc}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

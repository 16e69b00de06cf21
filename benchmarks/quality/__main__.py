"""Scores everything on the validation photos: python -m benchmarks.quality --data DATA

A whole run writes `benchmarks/results/quality.json`, the tables of the model card and the README,
and the contact sheet of what may be shown; with `--limit` it only prints, unless `--write` is
given. Sheets of every source go to `--out`, which is not for publishing. Needs the extra `eval`.
"""

import argparse
import json
import logging
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.quality import tables
from benchmarks.quality.ours import variants
from benchmarks.quality.photos import find_photos
from benchmarks.quality.scoring import run, summary
from benchmarks.quality.sheet import write_sheets
from benchmarks.results import machine
from serve_app.errors import SetupError
from serve_app.settings import ROOT, ModelSettings

RESULT = ROOT / "benchmarks" / "results" / "quality.json"
CARD, README = ROOT / "pretrained" / "README.md", ROOT / "README.md"
SHEET = ROOT / "docs" / "images" / "contact-sheet.png"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--peers", type=Path, help="folder of their weights (DATA/peers)")
    parser.add_argument("--model", type=Path, default=ModelSettings().model_path)
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--limit", type=int, default=0, help="photos of each source; 0 is all")
    parser.add_argument("--write", action="store_true", help="write what a limited run found, too")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "quality")
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.WARNING)
    try:
        evaluate(arguments)
    except SetupError as exc:
        print(f"error: {exc}", file=sys.stderr)
        return 2
    return 0


def evaluate(arguments: argparse.Namespace) -> None:
    settings = ModelSettings.model_validate(
        {"model_path": arguments.model, "engine": arguments.engine, "device": "cpu", "threads": 1}
    )
    photos = list(find_photos(arguments.data / "val", arguments.limit))
    peers = arguments.peers or arguments.data / "peers"
    results = run(photos, settings, peers, arguments.jobs)
    default = variants(settings)[0]
    report = {
        "machine": {**machine(), "date": datetime.now(UTC).date().isoformat()},
        "limit": arguments.limit,
        "checkpoint": default.engine.info.sha256,
        **summary(results),
    }
    whole = arguments.write or not arguments.limit
    shown = SHEET if whole else arguments.out / SHEET.name
    credits = write_sheets(photos, results.scored, default, arguments.out, shown)
    text = tables.card(report, f"../{SHEET.relative_to(ROOT)}", credits)
    if not whole:
        print(text)
        return
    RESULT.write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    tables.write_between(CARD, "quality", text)
    tables.write_between(README, "quality", tables.brief(report))
    print(text)


if __name__ == "__main__":
    sys.exit(main())

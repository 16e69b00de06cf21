"""Mutated files and requests by the hundred thousand: python -m benchmarks.fuzz

First files against the decoder in child processes, then requests against a service started for
them. A run that was broken off goes on where it was, for the same seed and folder. What crashed,
hung or was answered with a 5xx lies in the folder, byte for byte. The exit status is 1 if anything
did.
"""

import argparse
import os
import sys
from pathlib import Path

from benchmarks.chaos.mutations import run_mutations
from benchmarks.chaos.outcome import table, write
from benchmarks.chaos.progress import elapsed
from serve_app.settings import ROOT


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000, help="of files, and of requests")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--folder", type=Path, default=ROOT / "runs" / "fuzz")
    parser.add_argument("--json", type=Path, default=ROOT / "benchmarks" / "results" / "chaos")
    arguments = parser.parse_args()
    outcome = run_mutations(
        arguments.folder, arguments.seed, arguments.count, arguments.count, arguments.workers
    )
    plan = {"seed": arguments.seed, "mutations": arguments.count}
    write(arguments.json, "mutations", outcome, plan, elapsed())
    print(table("mutations", outcome))
    return 0 if outcome.holds else 1


if __name__ == "__main__":
    sys.exit(main())

"""Odd, corrupt and hostile files over HTTP: python -m benchmarks.corpus --corpus DIR

DIR holds `MANIFEST.tsv`, whose columns `file`, `kind` and `expect` say which answers are right
(`200|400`). Each file is posted to a service started for it, four at a time. The exit status is 1
if an answer is not among the right ones, takes over 15 s, or a replica died.
"""

import argparse
import csv
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks.running_service import STAGES, RunningService, running_service
from serve_app.settings import ROOT

AT_ONCE = 4
LONGEST_S = 15


@dataclass(frozen=True)
class Answer:
    """What one file got."""

    file: str
    kind: str
    expected: str
    status: int
    seconds: float

    @property
    def is_right(self) -> bool:
        return str(self.status) in self.expected.split("|") and self.seconds <= LONGEST_S


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, default=ROOT.parent / "shared" / "corpus")
    arguments = parser.parse_args()
    rows = manifest(arguments.corpus)
    with running_service() as service:
        service.wait_until_ready()
        before = pids(service)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            answers = list(pool.map(lambda row: ask(service, arguments.corpus, row), rows))
        died = before - pids(service)
    return report(answers, died)


def manifest(corpus: Path) -> list[dict[str, str]]:
    with (corpus / "MANIFEST.tsv").open(encoding="utf-8") as lines:
        return list(csv.DictReader(lines, delimiter="\t"))


def ask(service: RunningService, corpus: Path, row: dict[str, str]) -> Answer:
    start = time.monotonic()
    files = {"image": (corpus / row["file"]).read_bytes()}
    answer = httpx.post(f"{service.url}/v1/matting", files=files, timeout=120)
    seconds = time.monotonic() - start
    return Answer(row["file"], row["kind"], row["expect"], answer.status_code, seconds)


def pids(service: RunningService) -> set[int]:
    return {replica.pid for stage in STAGES for replica in service.replicas(stage)}


def report(answers: list[Answer], died: set[int]) -> int:
    """Print a table of statuses by kind, then everything that is not right."""
    counts = Counter((answer.kind, answer.status) for answer in answers)
    statuses = sorted({status for _, status in counts})
    print(f"{'kind':14}" + "".join(f"{status:>7}" for status in statuses))
    for kind in sorted({kind for kind, _ in counts}):
        print(f"{kind:14}" + "".join(f"{counts[kind, status] or '':>7}" for status in statuses))
    wrong = [answer for answer in answers if not answer.is_right]
    for answer in wrong:
        print(
            f"wrong: {answer.file}: {answer.status} in {answer.seconds:.1f} s, "
            f"expected {answer.expected}"
        )
    slowest = max(answers, key=lambda answer: answer.seconds)
    print(
        f"{len(answers)} files, {len(wrong)} wrong, {len(died)} replicas died, slowest "
        f"{slowest.seconds:.1f} s ({slowest.file})"
    )
    return 1 if wrong or died else 0


if __name__ == "__main__":
    sys.exit(main())

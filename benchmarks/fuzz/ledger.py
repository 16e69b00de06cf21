"""What a long run has done already, so that one that was broken off goes on from there."""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CHUNK = 500  # mutations that are noted as done together


@dataclass(frozen=True)
class Finding:
    """A mutation that was answered as none may be."""

    index: int
    kind: str  # crash, hang, unexpected, 5xx
    detail: str


class Ledger:
    """A folder with one line for each chunk that is done, and a file for each finding."""

    def __init__(self, folder: Path, target: str, seed: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._name = f"{target}-{seed}"
        self._path = folder / f"{self._name}.jsonl"
        self._lock = threading.Lock()
        self._lines: list[dict[str, object]] = []
        if self._path.exists():
            self._lines = [json.loads(line) for line in self._path.read_text("utf-8").splitlines()]

    def missing(self, count: int) -> Iterator[range]:
        """The chunks below `count` that are still to be done."""
        done = {line["start"]: line["stop"] for line in self._lines}
        for start in range(0, count, CHUNK):
            stop = min(count, start + CHUNK)
            if done.get(start) != stop:
                yield range(start, stop)

    def add(self, chunk: range, outcomes: Counter[str], findings: list[Finding]) -> None:
        """Note a chunk that is done."""
        line: dict[str, object] = {
            "start": chunk.start,
            "stop": chunk.stop,
            "outcomes": dict(outcomes),
            "findings": [vars(finding) for finding in findings],
        }
        with self._lock:
            self._lines = [x for x in self._lines if x["start"] != chunk.start] + [line]
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")

    def keep(self, finding: Finding, data: bytes) -> None:
        """Write the very bytes down, so that they can become a test."""
        stem = self._folder / f"{self._name}-{finding.index}-{finding.kind}"
        stem.with_suffix(".bin").write_bytes(data)
        stem.with_suffix(".txt").write_text(finding.detail + "\n", "utf-8")

    @property
    def done(self) -> int:
        with self._lock:
            latest = {line["start"]: line for line in self._lines}.values()
            return sum(int(str(line["stop"])) - int(str(line["start"])) for line in latest)

    @property
    def outcomes(self) -> Counter[str]:
        """How often each outcome came."""
        total: Counter[str] = Counter()
        for line in {line["start"]: line for line in self._lines}.values():
            total.update(line["outcomes"])  # type: ignore[call-overload]
        return total

    @property
    def findings(self) -> list[Finding]:
        latest = {line["start"]: line for line in self._lines}.values()
        return [Finding(**found) for line in latest for found in line["findings"]]  # type: ignore[attr-defined]

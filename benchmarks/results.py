"""What a benchmark found: tables on the terminal, in `results/NAME.json` and in the README.

The JSON holds the machine, the versions, the date, the command and how busy the machine was with
other work, because a figure without them says nothing.
"""

import json
import math
import os
import platform
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from serve_app.settings import ROOT

RESULTS = ROOT / "benchmarks" / "results"

Value = str | float | int | None

_PACKAGES = (
    *("cvunet-serve", "ray", "torch", "openvino", "onnxruntime", "tensorrt"),
    *("numpy", "pillow", "opencv-python-headless"),
)
_QUIET = 0.1  # of the machine's time in other hands: less than this changes no figure's meaning


@dataclass(frozen=True)
class Table:
    """Rows under named columns; None where there is no value."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Value]]

    def text(self) -> str:
        """For a terminal: columns aligned."""
        cells = [list(self.columns), *([shown(value) for value in row] for row in self.rows)]
        widths = [max(len(row[i]) for row in cells) for i in range(len(self.columns))]
        lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in cells]
        return "\n".join([self.title, *(f"  {line.rstrip()}" for line in lines)])

    def markdown(self) -> str:
        head = [f"| {' | '.join(self.columns)} |", "|" + " --- |" * len(self.columns)]
        rows = [f"| {' | '.join(shown(value) for value in row)} |" for row in self.rows]
        return "\n".join([f"*{self.title}*", "", *head, *rows])


@dataclass(frozen=True)
class Report:
    """One benchmark's run, as its JSON holds it."""

    benchmark: str
    machine: dict[str, Value]
    versions: dict[str, str]
    date: str
    command: str
    tables: list[Table]
    notes: list[str] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)  # what other commands read, unrounded
    plot: str | None = None  # name of an SVG beside the JSON

    def markdown(self) -> str:
        """The tables and where they come from, for the README."""
        plot = f"![{self.benchmark}](benchmarks/results/{self.plot})"
        parts = [f"<sub>{self.origin}</sub>", *([plot] if self.plot else [])]
        return "\n\n".join([*parts, *(table.markdown() for table in self.tables)])

    @property
    def origin(self) -> str:
        """One paragraph: machine, date, command, and what the figures have to be read with."""
        machine = self.machine
        gpu = f", {machine['gpu']}" if machine["gpu"] else ""
        busy = float(machine["busy_before"] or 0)
        words = [
            f"`{self.command}`, {self.date}, {machine['cores']} cores of {machine['cpu']}, "
            f"{machine['memory_gb']} GB{gpu}."
        ]
        if busy >= _QUIET:
            words.append(
                f"**{busy:.0%} of the machine was in other hands** when the run began: these "
                "figures are too slow, and only ratios within one table mean something."
            )
        return " ".join([*words, *self.notes])


class Run:
    """Begins when a benchmark begins; `finish` prints and keeps what it found."""

    def __init__(self, benchmark: str) -> None:
        self._benchmark = benchmark
        self._machine = machine()

    def finish(
        self,
        tables: list[Table],
        path: Path,
        notes: Sequence[str] = (),
        data: dict[str, Any] | None = None,
    ) -> Report:
        """Print the tables and write the JSON."""
        report = Report(
            self._benchmark,
            self._machine,
            versions(),
            datetime.now(UTC).date().isoformat(),
            _command(self._benchmark),
            tables,
            list(notes),
            data or {},
            plot.name if (plot := plot_path(path)).is_file() else None,
        )
        print("\n\n".join(table.text() for table in tables))
        print(f"\n{report.origin}\n{path}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(report), indent=1, ensure_ascii=False) + "\n", "utf-8")
        return report


def plot_path(path: Path) -> Path:
    """Where the plot of a result stands."""
    return path.with_suffix(".svg")


def read_report(path: Path) -> Report:
    values = json.loads(path.read_text("utf-8"))
    return Report(**{**values, "tables": [Table(**table) for table in values["tables"]]})


def shown(value: Value) -> str:
    """A number with three digits that count; text as it is."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"  # not measured, or nothing to compare it with
    if isinstance(value, str):
        return value
    if isinstance(value, int) or abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}"


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0))


def machine() -> dict[str, Value]:
    """What the figures depend on, and how much of it others use right now."""
    psutil.cpu_percent()
    busy = psutil.cpu_percent(interval=2) / 100
    return {
        "cpu": _cpu(),
        "cores": cores(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30),
        "gpu": _gpu(),
        "busy_before": round(busy, 3),
        "load_before": round(os.getloadavg()[0], 2),
    }


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":")[1].strip()
    return platform.machine()


def _gpu() -> str | None:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def _command(benchmark: str) -> str:
    """What was typed, without the folders of this machine."""
    words = [Path(word).name if word.startswith("/") else word for word in sys.argv[1:]]
    return shlex.join(["python", "-m", f"benchmarks.{benchmark}", *words])

"""What a row found: figures, and checks of them against fixed limits."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.results import machine, versions

Figure = float | int | str


@dataclass(frozen=True)
class Check:
    """One figure that has a limit."""

    name: str
    value: Figure
    limit: str
    holds: bool


def at_most(name: str, value: float, limit: float) -> Check:
    return Check(name, _short(value), f"at most {limit:g}", value <= limit)


def at_least(name: str, value: float, limit: float) -> Check:
    return Check(name, _short(value), f"at least {limit:g}", value >= limit)


@dataclass(frozen=True)
class Outcome:
    """All that one row has to say."""

    checks: list[Check]
    figures: dict[str, Figure] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        return all(check.holds for check in self.checks)


def table(row: str, outcome: Outcome) -> str:
    """The outcome as lines of text: what was judged first, the other figures after it."""
    lines = [f"{row}: {'holds' if outcome.holds else 'DOES NOT HOLD'}"]
    for check in outcome.checks:
        mark = "ok  " if check.holds else "MISS"
        lines.append(f"  {mark} {check.name:52} {check.value!s:>12}   {check.limit}")
    for name, value in outcome.figures.items():
        lines.append(f"       {name:52} {_short(value)!s:>12}")
    return "\n".join(lines)


def write(folder: Path, row: str, outcome: Outcome, plan: object, seconds: float) -> Path:
    """Leave the outcome as JSON, with the machine, the versions and the date."""
    folder.mkdir(parents=True, exist_ok=True)
    report = {
        "row": row,
        "holds": outcome.holds,
        "plan": plan,
        "seconds": round(seconds),
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine(),
        "versions": versions(),
        "checks": [vars(check) for check in outcome.checks],
        "figures": {name: _short(value) for name, value in outcome.figures.items()},
    }
    path = folder / f"{row}.json"
    path.write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    return path


def markdown(folder: Path) -> str:
    """The outcomes that lie in a folder, as the README's table."""
    lines = [
        "| row | requests | shown | limit | held | taken |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for path in sorted(folder.glob("*.json")):
        report = json.loads(path.read_text("utf-8"))
        for check in report["checks"]:
            lines.append(
                f"| `{report['row']}` | {report['figures'].get('requests', '')} | "
                f"{check['name']}: {check['value']} | {check['limit']} | "
                f"{'yes' if check['holds'] else '**no**'} | {report['date']} |"
            )
    return "\n".join(lines)


def percentile(values: list[float], percent: float) -> float:
    """The value that this share of all stayed under; infinite where there are none."""
    if not values:
        return float("inf")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def _short(value: Figure) -> Figure:
    return float(f"{value:.4g}") if isinstance(value, float) and abs(value) < 1e4 else value

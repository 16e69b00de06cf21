"""What a run did: `report.json` for programs, `report.html` for people, `errors.jsonl`."""

import html
import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from serve_app.bulk.places import Folder
from serve_app.bulk.sheet import contact_sheet

STAGES = ("read", "decode", "infer", "post", "encode", "write")
ERRORS = "errors.jsonl"


@dataclass(frozen=True)
class Totals:
    """Counts of one run, and the job it belongs to."""

    state: str  # complete, interrupted, watching, watched
    images: int  # that SRC names
    done: int  # by this run
    done_before: int
    failed: int
    bytes_in: int
    bytes_out: int
    seconds: float  # the start of the workers among them
    per_second: float | None  # images, while they worked


def report_values(
    wish: Mapping[str, Any],
    how: Mapping[str, Any],
    totals: Totals,
    timings: Mapping[str, Sequence[float]],
) -> dict[str, Any]:
    """What `report.json` holds."""
    counts = {name: getattr(totals, name) for name in ("images", "done", "done_before", "failed")}
    return {
        "state": totals.state,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        **wish,
        **how,
        "counts": counts,
        "seconds": round(totals.seconds, 3),
        "images_per_second": totals.per_second and round(totals.per_second, 3),
        "bytes_in": totals.bytes_in,
        "bytes_out": totals.bytes_out,
        "stages_ms": {name: _summary(timings[name]) for name in STAGES if timings.get(name)},
    }


def _summary(values: Sequence[float]) -> dict[str, float]:
    cuts = statistics.quantiles(values, n=20) if len(values) > 1 else [values[0]] * 19
    return {
        "mean": round(statistics.fmean(values), 2),
        "p50": round(cuts[9], 2),
        "p95": round(cuts[18], 2),
    }


def write_report(folder: Folder, values: Mapping[str, Any], names: Sequence[str]) -> None:
    """Write both reports; `names` are outputs, some of which are shown."""
    folder.write("report.json", json.dumps(values, indent=1, ensure_ascii=False).encode())
    folder.write("report.html", _page(values, contact_sheet(folder, names)).encode())


def write_errors(folder: Folder, failed: Sequence[Mapping[str, Any]]) -> None:
    """One line each; no file where nothing failed."""
    if failed:
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in failed)
        folder.write(ERRORS, "".join(lines).encode())
    else:
        folder.remove(ERRORS)


_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { margin: 2rem auto; max-width: 72rem; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; }
td, th { padding: .2rem 1rem .2rem 0; text-align: left; vertical-align: top; }
ul { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr));
     list-style: none; padding: 0; }
figure { margin: 0; } img { max-width: 100%; }
figcaption { font-size: .75rem; overflow-wrap: anywhere; }
"""


def _page(values: Mapping[str, Any], sheet: Sequence[tuple[str, str]]) -> str:
    counts, stages = values["counts"], values["stages_ms"]
    options = ", ".join(f"{name}={value}" for name, value in values["options"].items())
    pace = values["images_per_second"]
    rows = [
        ("state", values["state"]),
        ("source", values["source"]),
        ("images", counts["images"]),
        ("done by this run", counts["done"]),
        ("done before", counts["done_before"]),
        ("failed", f"{counts['failed']} (errors.jsonl)" if counts["failed"] else 0),
        ("seconds", values["seconds"]),
        ("images a second", "-" if pace is None else pace),
        ("layout", f"{values['layout']}, {values['workers']} workers"),
        ("model", values["model"]["model_path"]),
        ("options", options),
        ("date", values["date"]),
    ]
    figures = "".join(
        f'<li><figure><img alt="" src="{data}"><figcaption>{html.escape(name)}</figcaption>'
        "</figure></li>"
        for name, data in sheet
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>cvunet bulk</title>'
        '<meta name="viewport" content="width=device-width">'
        f"<style>{_STYLE}</style><h1>cvunet bulk</h1>{_table(rows)}"
        f"<h2>Milliseconds an image</h2>{_stage_table(stages)}"
        f"<h2>Some of the outputs</h2><ul>{figures}</ul></html>\n"
    )


def _table(rows: Sequence[tuple[str, Any]]) -> str:
    cells = (f"<tr><th>{name}</th><td>{html.escape(str(value))}</td></tr>" for name, value in rows)
    return f"<table>{''.join(cells)}</table>"


def _stage_table(stages: Mapping[str, Mapping[str, float]]) -> str:
    head = "<tr><th>stage</th><th>mean</th><th>p50</th><th>p95</th></tr>"
    cells = (
        f"<tr><td>{name}</td><td>{row['mean']}</td><td>{row['p50']}</td><td>{row['p95']}</td></tr>"
        for name, row in stages.items()
    )
    return f"<table>{head}{''.join(cells)}</table>"

"""Results as tables, in JSON and in the README."""

from pathlib import Path

import pytest

from benchmarks.report import filled, sections
from benchmarks.results import RESULTS, Report, Run, Table, read_report, shown
from serve_app.settings import ROOT

TABLE = Table("Speeds", ("engine", "ms"), [["torch", 12.345], ["int8", None], ["onnx", 1234.5]])


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), ("x", "x"), (7, "7"), (0.01234, "0.0123"), (99.95, "100"), (1234.4, "1234")],
)
def test_numbers_have_three_digits_that_count(value: float | str | None, text: str) -> None:
    assert shown(value) == text


def test_a_table_is_aligned_on_a_terminal() -> None:
    assert TABLE.text().splitlines() == [
        "Speeds",
        "  engine  ms",
        "  torch   12.3",
        "  int8    –",
        "  onnx    1234",
    ]


def finished(path: Path) -> Report:
    return Run("engines").finish([TABLE], path, ["A note."], {"key": [1.5]})


def test_a_report_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "engines.json"
    report = finished(path)
    read = read_report(path)
    assert read.markdown() == report.markdown()
    assert read.data == {"key": [1.5]}
    assert read.machine["cores"]
    assert read.versions["cvunet-serve"]
    assert "| torch | 12.3 |" in read.markdown()
    assert "A note." in read.markdown()


@pytest.mark.parametrize(("busy", "warns"), [(0.02, False), (0.6, True)])
def test_a_busy_machine_is_told(busy: float, warns: bool) -> None:
    machine = {"cpu": "X", "cores": 2, "memory_gb": 8, "gpu": None, "busy_before": busy}
    report = Report("engines", machine, {}, "2026-01-01", "python -m x", [TABLE])
    assert ("in other hands" in report.markdown()) == warns


def test_sections_are_filled_and_the_rest_is_left(tmp_path: Path) -> None:
    report = finished(tmp_path / "engines.json")
    text = (
        "before\n<!-- results: engines -->\nold\n<!-- end of results -->\nbetween\n"
        "<!-- results: absent -->\n<!-- end of results -->\nafter\n"
    )
    once = filled(text, tmp_path)
    assert report.markdown() in once
    assert "\nold\n" not in once
    assert "Not measured yet: `make bench`." in once
    assert [line for line in once.splitlines() if line in ("before", "between", "after")] == [
        "before",
        "between",
        "after",
    ]
    assert filled(once, tmp_path) == once


def test_the_readme_says_what_was_measured() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    assert filled(text, RESULTS) == text, "run python -m benchmarks.report"
    assert {"ladder", "stages", "serving", "engines", "peers", "cost"} <= set(sections(text))

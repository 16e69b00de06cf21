"""The checks of the long runs: each one holds where it should and misses where it must."""

import inspect
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from benchmarks.chaos.__main__ import ROWS
from benchmarks.chaos.outcome import Outcome, at_least, at_most, markdown, percentile, table, write
from benchmarks.chaos.overload import growth
from benchmarks.chaos.processes import descriptors, private_bytes
from benchmarks.chaos.replicas import in_flight_lost, refused_while_away
from benchmarks.chaos.soak import flatness, slope
from benchmarks.chaos.traffic import Answer, causes, failed
from benchmarks.chaos.watch import Sample
from tests.readme import TEXT


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # ray.serve's own, on import
@pytest.mark.parametrize("method", ["__init__", "__call__"])
def test_the_leaking_stage_is_called_as_the_real_one(method: str) -> None:
    from benchmarks.chaos.leaking import LeakingPostprocess
    from serve_app.deployments.postprocess import Postprocess

    ours, real = (
        list(inspect.signature(getattr(stage, method)).parameters.values())
        for stage in (LeakingPostprocess, Postprocess)
    )
    assert ours == real


def samples(mb_per_1000: float = 0.0, descriptors_per_1000: float = 0.0) -> list[Sample]:
    """An hour of 15,000 requests whose memory goes up and down by tens of MB."""
    rng = np.random.default_rng(1)
    done = np.linspace(0, 15_000, 600)
    memory = 900 + 15 * rng.standard_normal(600) + mb_per_1000 * done / 1000
    memory[:60] -= np.linspace(200, 0, 60)  # it grows at first, as caches fill
    memory[rng.integers(0, 600, 40)] += 150  # a large photo now and then
    files = 300 + rng.integers(0, 8, 600) + descriptors_per_1000 * done / 1000
    return [
        Sample(float(i), int(d), float(m), int(f), 200, frozenset({1, 2}))
        for i, (d, m, f) in enumerate(zip(done, memory, files, strict=True))
    ]


def test_a_flat_run_passes_the_check_of_the_soak() -> None:
    for strict in (True, False):
        assert all(check.holds for check in flatness(samples(), strict))
    assert abs(slope(samples(), "private_mb").middle) < 1


@pytest.mark.parametrize("leak", [{"mb_per_1000": 4}, {"descriptors_per_1000": 3}])
@pytest.mark.parametrize("strict", [True, False])
def test_a_leak_does_not(leak: dict[str, float], strict: bool) -> None:
    (caught,) = (check for check in flatness(samples(**leak), strict) if not check.holds)
    assert caught.name.startswith(next(iter(leak)).split("_")[0].replace("mb", "memory"))


def test_only_a_strict_check_asks_for_a_narrow_interval() -> None:
    noise = 200 * np.random.default_rng(2).standard_normal(30)
    rough = [replace(s, private_mb=900 + m) for s, m in zip(samples()[::20], noise, strict=True)]
    assert slope(rough, "private_mb").low < 1 < slope(rough, "private_mb").high
    assert flatness(rough, strict=False)[0].holds
    assert not flatness(rough, strict=True)[0].holds


def test_a_run_too_short_for_an_interval_is_judged_by_its_slope() -> None:
    few = [Sample(i, 10 * i, 900, 300, 200, frozenset()) for i in range(4)]
    assert all(check.holds for check in flatness(few, strict=True))
    assert str(slope(few, "threads")) == "0.00 [0.00, 0.00]"


_LEAKS = """
import sys
kept = []
for line in sys.stdin:
    kept.append(bytearray(b"x" * 2_000_000))
    kept.append(open("/dev/null"))
    print("done", flush=True)
"""


def test_what_a_real_process_keeps_is_seen() -> None:
    command = [sys.executable, "-c", _LEAKS]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        watched = [psutil.Process(process.pid)]
        seen = []
        for step in range(40):
            process.stdin.write("\n")
            process.stdin.flush()
            process.stdout.readline()
            megabytes = private_bytes(watched) / 1e6
            seen.append(Sample(0, step * 100, megabytes, descriptors(watched), 1, frozenset()))
        process.stdin.close()
    assert slope(seen, "private_mb").middle == pytest.approx(20, rel=0.2)  # 10 x 2 MB
    assert slope(seen, "descriptors").middle == pytest.approx(10, rel=0.2)
    assert [check.holds for check in flatness(seen, strict=False)] == [False, False, True]


def answer(began: float, ended: float, status: int = 200, code: str = "") -> Answer:
    return Answer(began, ended, status, code, "")


def test_failures_are_told_apart_by_when_they_were_sent() -> None:
    answers = [
        answer(0, 2),
        answer(0.5, 1.1, 0, "RemoteProtocolError"),  # in flight at the kill
        answer(1.2, 1.2, 0, "ConnectError"),  # nobody listened
        answer(3, 4, 500, "internal_error"),
    ]
    assert in_flight_lost(answers, at=1) == 1
    assert refused_while_away(answers, [1]) == 1
    assert len(failed(answers)) == 3
    assert causes(answers) == "1 x  ConnectError, 1 x  RemoteProtocolError, 1 x 500 internal_error"


def test_growth_compares_the_halves() -> None:
    flat = [Sample(0, 0, mb, 1, 1, frozenset()) for mb in (900, 1000, 950, 1000)]
    assert growth(flat) == 1
    assert growth([*flat, Sample(0, 0, 1300, 1, 1, frozenset())]) == 1.3


def test_percentiles() -> None:
    assert percentile([float(i) for i in range(100)], 99) == 99
    assert percentile([3, 1, 2], 50) == 2
    assert percentile([], 99) == float("inf")


def test_an_outcome_is_printed_written_and_tabled(tmp_path: Path) -> None:
    outcome = Outcome([at_most("failed", 0, 0), at_least("share", 0.5, 0.9)], {"requests": 12})
    assert not outcome.holds
    assert Outcome([at_most("failed", 0, 0)]).holds
    text = table("some-row", outcome)
    assert "DOES NOT HOLD" in text
    assert "ok   failed" in text
    assert "MISS share" in text
    report = json.loads(write(tmp_path, "some-row", outcome, {"kills": 3}, 61.4).read_text())
    assert (report["holds"], report["seconds"], report["plan"]) == (False, 61, {"kills": 3})
    assert len(report["date"]) == 10
    assert {"cpu", "cores"} <= set(report["machine"])
    assert {"python", "ray"} <= set(report["versions"])
    assert "| `some-row` | 12 | share: 0.5 | at least 0.9 | **no** |" in markdown(tmp_path)


def test_the_readme_names_every_row() -> None:
    for name in ROWS:
        assert f"`{name}`" in TEXT, name

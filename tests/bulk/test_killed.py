"""Ended at any moment, and gone on with: with a Ray of its own, as most people run it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from serve_app.bulk.plan import is_whole
from tests.bulk.conftest import ENVIRONMENT, Bulk, errors, outputs, report
from tests.conftest import encoded, picture

COUNT = 24


@contextmanager
def started(*arguments: object, **environment: str) -> Iterator["subprocess.Popen[str]"]:
    """The command in a process of its own, which ends with the block at the latest."""
    command = [sys.executable, "-m", "serve_app.cli", "bulk", *(str(each) for each in arguments)]
    process = subprocess.Popen(
        [*command, "--engine", "fake"],
        env=os.environ | ENVIRONMENT | environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for(what: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_killed_with_9_and_gone_on_with(tmp_path: Path, bulk: Bulk) -> None:
    folder, out = tmp_path / "photos", tmp_path / "out"
    folder.mkdir()
    body = encoded(picture(900, 1600), "JPEG")
    for number in range(COUNT):
        (folder / f"{number:02}.jpg").write_bytes(body)
    with started(folder, out, RAY_ADDRESS="") as process:
        wait_for(lambda: len(outputs(out)) >= 3 or process.poll() is not None)
        assert process.poll() is None, process.stderr and process.stderr.read()
    done = {name: (out / name).stat().st_mtime_ns for name in outputs(out)}
    assert len(done) < COUNT, "it was killed too late"
    assert all(is_whole((out / name).read_bytes()) for name in done)

    assert bulk(folder, out) == 0
    assert len(outputs(out)) == COUNT
    assert {name: (out / name).stat().st_mtime_ns for name in done} == done
    assert all(is_whole((out / name).read_bytes()) for name in outputs(out))
    for own in ("parts", "claims"):
        assert not list((out / ".cvunet" / own).iterdir())


def test_watching_takes_what_comes_and_ends_with_a_signal(
    tmp_path: Path, photos: Path, cluster: str
) -> None:
    out, late = tmp_path / "out", photos / "late.jpg"
    with started(photos, out, "--watch", "--poll", "0.3", RAY_ADDRESS=cluster) as process:
        wait_for(lambda: len(outputs(out)) == 5)
        body = encoded(picture(), "JPEG")
        with late.open("wb") as file:  # longer than it takes to settle, but never quiet for so long
            for at in range(0, len(body), len(body) // 4):
                file.write(body[at : at + len(body) // 4])
                file.flush()
                time.sleep(0.7)
        wait_for(lambda: len(outputs(out)) == 6)
        wait_for(lambda: report(out)["counts"]["done"] == 6)
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate(timeout=60)
        assert process.returncode == 0, told
    assert report(out)["state"] == "watched"
    assert "6 done, 0 done before, 0 failed" in told
    assert not (out / "errors.jsonl").exists() or not errors(out)

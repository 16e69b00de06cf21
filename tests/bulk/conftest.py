"""One small Ray cluster for the tests of this folder, and a way to run `cvunet bulk` on it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from serve_app.settings import ROOT
from tests.conftest import encoded, picture

Bulk = Callable[..., int]

ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "disabled",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
}


class Commands:
    """Runs commands on a cluster that stays up, so that each test need not start one."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "tests.bulk.commands"],
            cwd=ROOT,
            env={**os.environ, **ENVIRONMENT, "RAY_ADDRESS": ""},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.address = self._receive()

    def run(self, *arguments: object) -> int:
        """Run `cvunet bulk` with the engine that has no network; gives its exit status."""
        words = ["bulk", *(str(each) for each in arguments), "--engine", "fake"]
        assert self._process.stdin is not None
        self._process.stdin.write(
            json.dumps({"arguments": words, "folder": str(Path.cwd())}) + "\n"
        )
        self._process.stdin.flush()
        answer = json.loads(self._receive())
        sys.stderr.write(answer["told"])
        return int(answer["status"])

    def close(self) -> None:
        self._process.communicate()  # its input ends, and the cluster with it

    def _receive(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@pytest.fixture(scope="session")
def commands() -> Iterator[Commands]:
    for _ in range(3):  # Ray gives itself half a minute to start, which a busy machine may not keep
        started = Commands()
        if started.address:
            break
        started.close()
    yield started
    started.close()


@pytest.fixture
def bulk(commands: Commands) -> Bulk:
    """Runs `cvunet bulk`; gives its exit status."""
    return commands.run


@pytest.fixture
def cluster(commands: Commands) -> str:
    """Its address."""
    return commands.address


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of a few small photos."""
    return make_photos(tmp_path / "photos", 5)


def make_photos(folder: Path, count: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        (folder / f"{number}.jpg").write_bytes(encoded(picture(40 + number, 60), "JPEG"))
    return folder


def outputs(folder: Path) -> list[str]:
    """What a job made, without what it keeps of itself."""
    own = {"report.html", "report.json", "errors.jsonl"}
    files = (p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    return sorted(name for name in files if name not in own and not name.startswith(".cvunet/"))


def errors(folder: Path) -> dict[str, dict[str, Any]]:
    """The failures, by the name of their output."""
    lines = (folder / "errors.jsonl").read_text("utf-8").splitlines()
    return {row["output"]: row for row in map(json.loads, lines)}


def report(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "report.json").read_text("utf-8"))  # type: ignore[no-any-return]

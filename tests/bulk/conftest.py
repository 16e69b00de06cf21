"""One small Ray cluster for the tests of this folder, and a way to run `cvunet bulk` on it."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from serve_app.cli import main
from tests.conftest import encoded, picture

Bulk = Callable[..., int]

ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "disabled",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
}


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a cluster that stays up, so that each test need not start one."""
    if address := os.environ.get("CVUNET_TEST_RAY"):  # one that is up, for who works on the tests
        yield address
        return
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        started = start_cluster()
        yield started.address
        started.shutdown()


def start_cluster() -> Any:
    from ray.cluster_utils import Cluster

    arguments = {"num_cpus": 2, "include_dashboard": False, "object_store_memory": 300_000_000}
    for _ in range(3):  # Ray gives itself half a minute, which a busy machine may not keep
        try:
            return Cluster(initialize_head=True, head_node_args=arguments)
        except Exception as exc:
            last = exc
    raise last


@pytest.fixture
def bulk(cluster: str, monkeypatch: pytest.MonkeyPatch) -> Bulk:
    """Run the command with the engine that has no network; gives its exit status."""
    monkeypatch.setenv("RAY_ADDRESS", cluster)

    def run(*arguments: object) -> int:
        return main(["bulk", *(str(each) for each in arguments), "--engine", "fake"])

    return run


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

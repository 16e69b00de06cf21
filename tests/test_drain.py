"""The end of the service, between processes: who is waited for and for how long."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from serve_app.drain import Drain, announce_end, is_idle, wait_until_idle
from serve_app.errors import Ending
from serve_app.settings import ROOT, Settings, load_settings

_HOLDS = """
import sys
from pathlib import Path
from serve_app.drain import Drain
Drain(Path(sys.argv[1])).enter()
print("in flight", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "drain"
    path.touch()
    return path


def test_it_is_idle_when_every_request_has_left(file: Path) -> None:
    drains = Drain(file), Drain(file)  # of two replicas
    for drain in drains:
        drain.enter()
        drain.enter()
    for drain in drains:
        drain.leave()
        assert not is_idle(file)
        drain.leave()
    assert is_idle(file)


def test_the_end_is_told_to_whoever_asks_after_it(file: Path) -> None:
    drain = Drain(file)
    drain.enter()
    drain.check()
    announce_end(file)
    with pytest.raises(Ending, match="ending: try again"):
        drain.check()
    assert not wait_until_idle(file, 0.2)
    drain.leave()
    assert wait_until_idle(file, 0.2)


def test_a_request_never_slips_in_between(file: Path) -> None:
    """It either holds the end up or is told of it."""
    announce_end(file)
    assert is_idle(file)
    drain = Drain(file)
    drain.enter()
    with pytest.raises(Ending):
        drain.check()


def test_a_replica_that_dies_is_not_waited_for(file: Path) -> None:
    command = [sys.executable, "-c", _HOLDS, str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"in flight\n"
        assert not is_idle(file)
        process.kill()
    began = time.monotonic()
    assert wait_until_idle(file, 30)
    assert time.monotonic() - began < 5


def test_without_a_file_nothing_is_announced(tmp_path: Path) -> None:
    for drain in (Drain(), Drain(tmp_path / "of another machine")):
        drain.enter()
        drain.check()
        drain.leave()


@pytest.mark.parametrize("name", ["serve_config.yaml", "configs/serve.gpu.yaml"])
def test_each_stage_outlasts_a_request(name: str) -> None:
    """On one node and, by tests/test_manifests.py, on Kubernetes."""
    (application,) = yaml.safe_load((ROOT / name).read_text("utf-8"))["applications"]
    settings = load_settings(ROOT / name, environ={})
    limits = settings.limits
    for stage in application["deployments"]:
        upload_s = limits.upload_timeout_s if stage["name"] == "Ingress" else 0
        assert stage["graceful_shutdown_timeout_s"] >= upload_s + limits.request_timeout_s
    assert settings.drain.timeout_s > limits.request_timeout_s


def test_who_sends_sigterm_waits_for_the_drain() -> None:
    serve_s = 30  # what Serve takes at most, once nothing is in flight
    unit = (ROOT / "configs/systemd/cvunet-serve.service").read_text("utf-8")
    compose = yaml.safe_load((ROOT / "configs/docker/compose.yaml").read_text("utf-8"))
    pause = compose["services"]["matting"]["stop_grace_period"]
    for seconds in (re.findall(r"^TimeoutStopSec=(\d+)$", unit, re.M)[0], pause.rstrip("s")):
        assert int(seconds) >= Settings().drain.timeout_s + serve_s

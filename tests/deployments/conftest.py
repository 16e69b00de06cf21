"""One real service for the tests of this folder, started the way a user starts it."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest
import yaml

from serve_app.settings import ROOT

START_TIMEOUT_S = 240


@dataclass(frozen=True)
class Service:
    """A running `cvunet serve` and its process tree."""

    url: str
    process: psutil.Process
    log: Path

    def replicas(self, deployment: str) -> list[psutil.Process]:
        """The live replica processes of one deployment, which Ray titles by it."""
        title = f"ray::ServeReplica:matting:{deployment}"
        found = []
        for child in self.process.children(recursive=True):
            try:
                if child.cmdline()[:1] and child.cmdline()[0].startswith(title):
                    found.append(child)
            except psutil.Error:  # it ended while we looked
                continue
        return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def hasty_application() -> dict[str, object]:
    """A second application beside the real one, whose requests have no time at all."""
    return {
        "name": "hasty",
        "route_prefix": "/hasty",
        "import_path": "serve_app.app:build_app",
        "args": {"model": {"engine": "fake"}, "limits": {"request_timeout_s": 0.001}},
        "deployments": [
            {"name": name, "ray_actor_options": {"num_cpus": 0}}
            for name in ("Ingress", "Preprocess", "UNet", "Postprocess")
        ],
    }


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    config = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
    config["http_options"]["port"] = free_port()
    config["applications"].append(hasty_application())
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    log = folder / "serve.log"
    # Ray's sockets don't fit under pytest's long paths.
    with tempfile.TemporaryDirectory(prefix="ray") as temp, log.open("wb") as output:
        process = subprocess.Popen(
            [Path(sys.executable).with_name("cvunet"), "serve", folder / "config.yaml"],
            env={k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"} | {"RAY_TMPDIR": temp},
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            # As a shell's background job has it: the service must end all the same.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),  # noqa: PLW1509
        )
        url = f"http://127.0.0.1:{config['http_options']['port']}"
        service = Service(url, psutil.Process(process.pid), log)
        try:
            wait_until_ready(service)
            yield service
        finally:
            stop(service, process)


def wait_until_ready(service: Service, timeout_s: float = START_TIMEOUT_S) -> None:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if not service.process.is_running() or service.process.status() == "zombie":
            break
        try:
            if httpx.get(f"{service.url}/readyz", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.25)
    pytest.fail(f"the service is not ready:\n{service.log.read_text()[-4000:]}")


def stop(service: Service, process: "subprocess.Popen[bytes]") -> None:
    """End it as an init system would, and whatever is left of its own tree by pid."""
    left = service.process.children(recursive=True)
    process.terminate()
    ended = True
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        ended = False
        process.kill()
    for child in psutil.wait_procs(left, timeout=10)[1]:
        child.kill()
    assert ended, "the service did not end within 60 s of SIGTERM"

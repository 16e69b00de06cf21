"""Starts a service the way a user does, for benchmarks and for tests, and knows its processes."""

import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import yaml

from serve_app.settings import ROOT

STAGES = ("Ingress", "Preprocess", "UNet", "Postprocess")
START_TIMEOUT_S = 240
STOP_TIMEOUT_S = 120  # over drain.timeout_s and what Serve then takes


@dataclass(frozen=True)
class RunningService:
    """A `cvunet serve` of our own, with its process tree."""

    url: str
    process: psutil.Process
    log: Path  # what it printed, both streams
    started_at: float  # time.monotonic()

    def replicas(self, stage: str) -> list[psutil.Process]:
        """The live replica processes of one stage; Ray titles them by it."""
        title = f"ray::ServeReplica:matting:{stage}"
        return [child for child in self.tree() if title_of(child).startswith(title)]

    def tree(self) -> list[psutil.Process]:
        """Every live process of the service, Ray's own among them."""
        return [self.process, *self.process.children(recursive=True)]

    def is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def is_running(self) -> bool:
        return self.process.is_running() and self.process.status() != psutil.STATUS_ZOMBIE

    def wait_until_ready(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Wait for `/readyz`.

        Raises:
            RuntimeError: it has ended, or the time is up; the message holds the end of its log.
        """
        deadline = time.monotonic() + timeout_s
        while not self.is_ready():
            if time.monotonic() > deadline or not self.is_running():
                state = f"is not ready within {timeout_s:g} s" if self.is_running() else "has ended"
                raise RuntimeError(f"the service {state}:\n{self.log.read_text()[-4000:]}")
            time.sleep(0.2)


def title_of(process: psutil.Process) -> str:
    """What a process calls itself; empty where it has ended meanwhile."""
    try:
        return (process.cmdline() or [""])[0]
    except psutil.Error:
        return ""


def read_config(path: Path = ROOT / "serve_config.yaml") -> dict[str, Any]:
    """A Serve config file as plain values, to be changed and given to `running_service`."""
    values: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
    return values


def free_port() -> int:
    """A port of loopback that nobody listens on and that Ray will not take before the service does:
    its own are below 20000, or those that the system gives, above 32767.
    """
    while True:
        port = random.randint(20_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@contextmanager
def running_service(
    config: Mapping[str, Any] | None = None, environment: Mapping[str, str] | None = None
) -> Iterator[RunningService]:
    """Start `cvunet serve` on a free port of loopback, and end it with all that it started.

    It gets a Ray of its own in a temporary folder, and is not ready yet when it comes.

    Args:
        config: a Serve config; `read_config()` if not given. Its port is replaced.
        environment: variables laid over this process's own.

    Raises:
        RuntimeError: it did not end in time after SIGTERM, which it must.
    """
    values = {**(config or read_config())}
    port = free_port()
    values["http_options"] = {**values.get("http_options", {}), "port": port}
    inherited = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"}
    # Ray's sockets need a short path.
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder:
        file, log = Path(folder) / "config.yaml", Path(folder) / "serve.log"
        file.write_text(yaml.safe_dump(values), "utf-8")
        with log.open("wb") as output:
            started_at = time.monotonic()
            process = subprocess.Popen(
                [Path(sys.executable).with_name("cvunet"), "serve", file],
                env={**inherited, "RAY_TMPDIR": folder, **(environment or {})},
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                # As a shell's background job has it: the service must end all the same, and on
                # Ctrl+C it is ours to end it.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),  # noqa: PLW1509
            )
        service = RunningService(
            f"http://127.0.0.1:{port}", psutil.Process(process.pid), log, started_at
        )
        try:
            yield service
        finally:
            _end(process, folder)


def _end(process: "subprocess.Popen[bytes]", folder: str) -> None:
    """End it as an init system would, and by pid whatever is left of what it started."""
    process.terminate()
    ended = True
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        ended = False
        process.kill()
        process.wait()
    for left in psutil.wait_procs(started_in(folder), timeout=10)[1]:
        left.kill()
    if not ended:
        raise RuntimeError(f"the service did not end within {STOP_TIMEOUT_S} s of SIGTERM")


def started_in(folder: str) -> list[psutil.Process]:
    """Processes that inherited this temporary folder, whoever their parent is by now."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("RAY_TMPDIR") == folder:
                found.append(process)
        except psutil.Error:  # another user's, or it ended while we looked
            continue
    return found

"""Starts a service for a benchmark, sends it photos, and weighs its processes."""

import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import yaml

ROOT = Path(__file__).resolve().parents[1]
STAGES = ("Ingress", "Preprocess", "UNet", "Postprocess")


@dataclass(frozen=True)
class RunningService:
    """A `cvunet serve` of our own, with its process tree."""

    url: str
    process: psutil.Process
    started_at: float

    def replicas(self, stage: str) -> list[psutil.Process]:
        """The live replica processes of one stage; Ray titles them by it."""
        title = f"ray::ServeReplica:matting:{stage}"
        found = []
        for child in self.process.children(recursive=True):
            try:
                if (child.cmdline() or [""])[0].startswith(title):
                    found.append(child)
            except psutil.Error:  # it ended while we looked
                continue
        return found

    def memory(self) -> int:
        """Bytes that all replicas hold together; pages they share count once."""
        total = 0
        for stage in STAGES:
            for replica in self.replicas(stage):
                try:
                    total += replica.memory_full_info().pss
                except psutil.Error:
                    continue
        return total

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def wait_until_ready(self, timeout_s: float = 120) -> None:
        deadline = time.monotonic() + timeout_s
        while not self.is_ready():
            if time.monotonic() > deadline or not self.process.is_running():
                raise TimeoutError(f"the service was not ready within {timeout_s:g} s")
            time.sleep(0.1)


@contextmanager
def running_service(config: Path = ROOT / "serve_config.yaml") -> Iterator[RunningService]:
    """Start `cvunet serve` on a free port, and end it with all it started."""
    values = yaml.safe_load(config.read_text("utf-8"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = values["http_options"]["port"] = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="ray") as folder:
        own = Path(folder) / "config.yaml"
        own.write_text(yaml.safe_dump(values), "utf-8")
        environment = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"}
        started_at = time.monotonic()
        process = subprocess.Popen(
            [Path(sys.executable).with_name("cvunet"), "serve", own],
            env=environment | {"RAY_TMPDIR": folder},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=ROOT,
        )
        service = RunningService(
            f"http://127.0.0.1:{port}", psutil.Process(process.pid), started_at
        )
        try:
            yield service
        finally:
            left = service.process.children(recursive=True)
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
            for child in psutil.wait_procs(left, timeout=10)[1]:
                child.kill()


@dataclass(frozen=True)
class Load:
    """What a closed-loop run of several clients saw."""

    seconds: float
    latencies: list[float]  # s, of the answers that were 200
    batch_sizes: list[int]
    failures: int
    peak_memory: int  # bytes, all replicas

    @property
    def per_minute(self) -> float:
        return 60 * len(self.latencies) / self.seconds

    @property
    def mean_batch(self) -> float:
        return len(self.batch_sizes) / sum(1 / size for size in self.batch_sizes)

    def percentile(self, percent: float) -> float:
        """The latency in seconds that this share of the answers stayed under."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def closed_loop(service: RunningService, photo: bytes, clients: int, seconds: float) -> Load:
    """Let each client send its next request when its last one is answered."""
    latencies: list[float] = []
    batch_sizes: list[int] = []
    failures = 0
    peak = 0
    lock = threading.Lock()
    start = time.monotonic()

    def ask() -> None:
        nonlocal failures
        with httpx.Client(base_url=service.url, timeout=120) as client:
            while time.monotonic() - start < seconds:
                began = time.monotonic()
                answer = client.post("/v1/matting", files={"image": photo})
                with lock:
                    if answer.status_code == 200:
                        latencies.append(time.monotonic() - began)
                        batch_sizes.append(int(answer.headers["x-batch-size"]))
                    else:
                        failures += 1

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        peak = max(peak, service.memory())
        time.sleep(0.2)
    return Load(time.monotonic() - start, latencies, batch_sizes, failures, peak)

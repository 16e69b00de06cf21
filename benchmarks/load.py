"""Clients that load a service over HTTP, and what they and its processes saw."""

import threading
import time
from dataclasses import dataclass

import httpx
import psutil

from benchmarks.running_service import STAGES, RunningService


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
        peak = max(peak, replica_memory(service))
        time.sleep(0.2)
    return Load(time.monotonic() - start, latencies, batch_sizes, failures, peak)


def replica_memory(service: RunningService) -> int:
    """Bytes that all replicas hold together; pages they share count once."""
    total = 0
    for stage in STAGES:
        for replica in service.replicas(stage):
            try:
                total += replica.memory_full_info().pss
            except psutil.Error:  # it ended while we looked
                continue
    return total

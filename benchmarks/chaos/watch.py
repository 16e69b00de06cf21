"""Samples of what a service holds, taken while a block runs."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.chaos.processes import (
    descriptors,
    private_bytes,
    replicas_and_proxies,
    serving,
    threads,
)
from benchmarks.running_service import RunningService

MEGABYTE = 1e6


@dataclass(frozen=True)
class Sample:
    """What the replicas, their decoders and the proxy held together at one time."""

    at: float  # monotonic seconds
    done: int  # requests answered until then
    private_mb: float
    descriptors: int
    threads: int
    pids: frozenset[int]  # of replicas and proxies


@contextmanager
def watching(
    service: RunningService, done: Callable[[], int], every_s: float = 1.0
) -> Iterator[list[Sample]]:
    """Take a sample every so many seconds; `done` tells the requests answered so far."""
    samples: list[Sample] = []
    stop = threading.Event()

    def watch() -> None:
        while not stop.is_set():
            samples.append(sample(service, done()))
            stop.wait(every_s)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield samples
    finally:
        stop.set()
        thread.join(30)


def sample(service: RunningService, done: int) -> Sample:
    processes = serving(service)
    return Sample(
        time.monotonic(),
        done,
        private_bytes(processes) / MEGABYTE,
        descriptors(processes),
        threads(processes),
        frozenset(process.pid for process in replicas_and_proxies(service)),
    )

"""What a service's processes use: CPU time and memory, by what they are; and the GPU."""

import itertools
import statistics
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psutil

from benchmarks.gpu import open_gpu
from benchmarks.running_service import STAGES, RunningService, title_of

_INTERVAL_S = 0.2
_MEMORY_EVERY = 5  # intervals: adding it up takes a while
PROXY, RAY = "proxy", "Ray"


@dataclass
class Usage:
    """What was used between two moments."""

    cpu_s: dict[str, float] = field(default_factory=dict)  # by kind of process
    peak_memory: int = 0  # bytes of all replicas together, shared pages counted once
    gpu_busy: float | None = None  # share of the time; None without a GPU

    @property
    def total_cpu_s(self) -> float:
        return sum(self.cpu_s.values())


def by_kind(service: RunningService) -> dict[psutil.Process, str]:
    """What each process is: a stage, the proxy (HAProxy where it is one), or Ray's own.

    What a replica started, such as the process that decodes for it, is of its stage.
    """
    titles = {process.pid: _kind(title_of(process)) for process in service.tree()}
    kinds = {}
    for process in service.tree():
        kind = titles.get(process.pid) or titles.get(_parent(process))
        kinds[process] = kind or RAY
    return kinds


def _kind(title: str) -> str | None:
    for stage in STAGES:
        if title.startswith(f"ray::ServeReplica:matting:{stage}"):
            return stage
    return PROXY if "ProxyActor" in title or "haproxy" in title.lower() else None


def _parent(process: psutil.Process) -> int:
    try:
        return process.ppid()
    except psutil.Error:  # it ended while we looked
        return 0


@contextmanager
def watched(service: RunningService) -> Iterator[Usage]:
    """Add up what the service uses until the block ends."""
    usage = Usage()
    before = cpu_seconds(service.tree())
    ended = threading.Event()

    shares: list[float] = []
    gpu_share = open_gpu()

    def watch() -> None:
        for turn in itertools.count(1):
            if ended.wait(_INTERVAL_S):
                return
            if (share := gpu_share()) is not None:
                shares.append(share)
            if turn % _MEMORY_EVERY == 0:
                usage.peak_memory = max(usage.peak_memory, replica_memory(service))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield usage
    finally:
        ended.set()
        watcher.join()
        usage.gpu_busy = statistics.fmean(shares) if shares else None
        usage.peak_memory = max(usage.peak_memory, replica_memory(service))
        spent: dict[str, float] = defaultdict(float)
        kinds = by_kind(service)
        for process, seconds in cpu_seconds(kinds).items():
            spent[kinds[process]] += seconds - before.get(process, 0.0)
        usage.cpu_s = dict(spent)


def cpu_seconds(processes: Iterable[psutil.Process]) -> dict[psutil.Process, float]:
    """CPU time of each process so far, user and system."""
    found = {}
    for process in processes:
        try:
            times = process.cpu_times()
        except psutil.Error:  # it ended while we looked
            continue
        found[process] = times.user + times.system
    return found


def replica_memory(service: RunningService) -> int:
    """Bytes that all replicas and their children hold; pages they share count once."""
    total = 0
    for process, kind in by_kind(service).items():
        if kind in STAGES:
            try:
                total += process.memory_full_info().pss
            except psutil.Error:
                continue
    return total

"""The processes of one running service: by what they are, and what they hold."""

import psutil

from benchmarks.running_service import RunningService, title_of

TITLES = {
    "proxy": "ray::ProxyActor",
    "controller": "ray::ServeController",
    "ingress": "ray::ServeReplica:matting:Ingress",
}


def find(service: RunningService, what: str) -> list[psutil.Process]:
    """The live proxies, controllers or ingress replicas."""
    return _titled(service, TITLES[what])


def gcs_server(service: RunningService) -> psutil.Process:
    return next(p for p in service.tree() if title_of(p).endswith("/gcs_server"))


def replicas_and_proxies(service: RunningService) -> list[psutil.Process]:
    return _titled(service, "ray::ServeReplica:", TITLES["proxy"])


def serving(service: RunningService) -> list[psutil.Process]:
    """All processes that a request passes through: replicas, their decoders, and proxies."""
    found = []
    for process in replicas_and_proxies(service):
        try:
            found += [process, *process.children(recursive=True)]
        except psutil.Error:  # it ended while we looked
            continue
    return found


def _titled(service: RunningService, *titles: str) -> list[psutil.Process]:
    if not service.is_running():
        return []
    return [process for process in service.tree() if title_of(process).startswith(titles)]


def unique_bytes(processes: list[psutil.Process]) -> int:
    """Memory of the processes, pages that they share counted once: Ray's object store too."""
    return sum(_count(process, "memory_full_info", "pss") for process in processes)


def private_bytes(processes: list[psutil.Process]) -> int:
    """Resident memory that the processes do not share.

    Pages of Ray's object store are left out: each process maps what it has read of it, so that its
    plain RSS grows up to the store's size without anything being kept.
    """
    total = 0
    for process in processes:
        try:
            memory = process.memory_info()
            total += memory.rss - memory.shared
        except psutil.Error:
            continue
    return total


def descriptors(processes: list[psutil.Process]) -> int:
    return sum(_count(process, "num_fds") for process in processes)


def threads(processes: list[psutil.Process]) -> int:
    return sum(_count(process, "num_threads") for process in processes)


def _count(process: psutil.Process, what: str, field: str = "") -> int:
    try:
        value = getattr(process, what)()
    except psutil.Error:
        return 0
    return int(getattr(value, field) if field else value)

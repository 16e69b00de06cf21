"""The processes of one running service: by what they are, and what they hold."""

import psutil

from benchmarks.running_service import RunningService

TITLES = {
    "proxy": "ray::ProxyActor",
    "controller": "ray::ServeController",
    "ingress": "ray::ServeReplica:matting:Ingress",
}


def find(service: RunningService, what: str) -> list[psutil.Process]:
    """The live proxies, controllers or ingress replicas."""
    return [child for child in tree(service) if _title(child).startswith(TITLES[what])]


def gcs_server(service: RunningService) -> psutil.Process:
    return next(child for child in tree(service) if _title(child).endswith("/gcs_server"))


def serving(service: RunningService) -> list[psutil.Process]:
    """All processes that a request passes through: replicas and proxies."""
    titles = ("ray::ServeReplica:", TITLES["proxy"])
    return [child for child in tree(service) if _title(child).startswith(titles)]


def tree(service: RunningService) -> list[psutil.Process]:
    try:
        return list(service.process.children(recursive=True))
    except psutil.NoSuchProcess:
        return []


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


def _count(process: psutil.Process, what: str) -> int:
    try:
        return int(getattr(process, what)())
    except psutil.Error:
        return 0


def _title(process: psutil.Process) -> str:
    try:
        return (process.cmdline() or [""])[0]
    except psutil.Error:
        return ""

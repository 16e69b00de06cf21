"""Ray for one run: its own on this machine, or the cluster that `RAY_ADDRESS` names."""

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from serve_app.bulk.address import check_reachable
from serve_app.errors import SettingsError

_CORES = len(os.sched_getaffinity(0))
_RAYS_OWN = 4  # workers that Ray Data starts for itself, and one to spare

# What the environment already says wins over these.
_DEFAULTS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "disabled",  # a Ray of our own listens on loopback only
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # keeps Ray's ports on 127.0.0.1
    "RAY_worker_niceness": "0",  # at Ray's 15, whatever else runs here would take most of the cores
    # All at once: else the last worker waits for Ray Data's own, and its core does until then.
    # Ray also starts one for each core ahead, and counts them.
    "RAY_worker_maximum_startup_concurrency": str(2 * _CORES + _RAYS_OWN),
    "RAY_enable_metrics_collection": "0",  # nobody looks at them here
    "RAY_task_events_report_interval_ms": "0",
}
_QUIET = {"RAY_BACKEND_LOG_LEVEL": "fatal"}  # this process says its own; Ray's are in its log files
_TRIES = 3  # Ray gives itself 30 s to start, which a machine that is busy may not keep
_STORE = 300_000_000  # bytes of shared memory for the list and what is between the stages


@dataclass(frozen=True, slots=True)
class Resources:
    """What there is to work with."""

    cpus: int
    gpus: int
    nodes: int


@contextmanager
def ray_cluster(staged: bool) -> Iterator[Resources]:
    """Start Ray, or join it; what was started ends with the block, what was joined before stays.

    Raises:
        SettingsError: Ray Data's packages are missing, or the cluster is not there.
    """
    address = os.environ.get("RAY_ADDRESS")
    for name, value in (_QUIET if address else _DEFAULTS | _QUIET).items():
        os.environ.setdefault(name, value)
    ray = _imported()
    if ray.is_initialized():
        yield _resources(ray)
        return
    if address:
        check_reachable(address, ray.util.get_node_ip_address)
    on_sigterm = signal.getsignal(signal.SIGTERM)
    _start(ray, address, staged)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, on_sigterm)  # Ray has put handlers of its own there
    try:
        yield _resources(ray)
    finally:
        ray.shutdown()


def _imported() -> Any:
    try:
        import pandas  # noqa: F401 - Ray Data imports both when it is late to say so
        import pyarrow  # noqa: F401
        import ray.data
    except ImportError as exc:
        raise SettingsError(
            f"cvunet bulk needs Ray Data ({exc}): pip install 'cvunet-serve[bulk]'"
        ) from exc
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return ray


def _resources(ray: Any) -> Resources:
    found = ray.cluster_resources()
    nodes = sum(bool(node["Alive"]) for node in ray.nodes())
    return Resources(int(found.get("CPU", 0)), int(found.get("GPU", 0)), nodes)


def _start(ray: Any, address: str | None, staged: bool) -> None:
    for tries_left in reversed(range(1 if address else _TRIES)):
        try:
            _init(ray, address, staged)
            return
        except Exception as exc:  # Ray raises that very class
            ray.shutdown()
            if not tries_left:
                what = f"joined at RAY_ADDRESS={address}" if address else "started"
                raise SettingsError(f"Ray cannot be {what}: {exc}") from exc


def _init(ray: Any, address: str | None, staged: bool) -> None:
    if address:
        ray.init(log_to_driver=False, logging_level=logging.ERROR)
        return
    ray.init(
        address="local",
        num_cpus=_CORES,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        object_store_memory=_STORE * (4 if staged else 1),
    )

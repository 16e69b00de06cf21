"""No more replicas than one machine has room for.

A replica that the autoscaler wants and finds no core for waits, and takes the first core that comes
free: during a roll-out that is the one of a replica that was just stopped to be replaced. Its stage
then has none until the load is gone, and requests run into their deadlines. They do so too where an
ingress replica that waits for its requests holds what the new network replica needs to do them.
"""

import os
from pathlib import Path
from typing import Any

_INGRESS = "Ingress"  # in a roll-out the new one is there before the old one has gone
_AUTO_MAX = 100  # Serve's own for `num_replicas: auto`
_CPU_MAX = Path("/sys/fs/cgroup/cpu.max")  # a container's share: quota and period, or "max"


def cores_here() -> int:
    """Cores that this process may use, as Ray counts them: its container's, if it has one."""
    has_affinity = hasattr(os, "sched_getaffinity")  # Linux
    cores = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
    try:
        quota, period = _CPU_MAX.read_text("utf-8").split()
        return min(cores, max(1, int(quota) // int(period)))
    except (OSError, ValueError):  # no such file, or no limit
        return cores


def fitted(config: dict[str, Any], cpus: int) -> dict[str, Any]:
    """Lower each `max_replicas` of a Serve config until all of them fit on `cpus` cores together,
    with room for an ingress replica more.

    What the least replicas leave over is shared out in proportion to what each deployment would
    take at most. Deployments without autoscaling or without `num_cpus` stay as they are.
    """
    applications = config.get("applications") or []
    deployments = [d for app in applications for d in app.get("deployments") or []]
    scaled = [d for d in deployments if _span(d) > 0]
    least = sum(_cpus(d) * _least(d) for d in deployments)
    spare = sum(_cpus(d) for d in deployments if d.get("name") == _INGRESS)
    wanted = sum(_cpus(d) * _span(d) for d in scaled)
    share = min(1.0, max(0.0, cpus - least - spare) / wanted) if wanted else 1.0
    return {
        **config,
        "applications": [
            {**app, "deployments": [_lowered(d, share) for d in app["deployments"]]}
            if app.get("deployments")
            else app
            for app in applications
        ],
    }


def _lowered(deployment: dict[str, Any], share: float) -> dict[str, Any]:
    if not _span(deployment) or not _cpus(deployment):
        return deployment
    most = _least(deployment) + int(share * _span(deployment) + 1e-9)
    scaling = {**(_scaling(deployment) or {}), "max_replicas": most}
    return {**deployment, "autoscaling_config": scaling}


def _cpus(deployment: dict[str, Any]) -> float:
    return float((deployment.get("ray_actor_options") or {}).get("num_cpus", 1))


def _least(deployment: dict[str, Any]) -> int:
    scaling = _scaling(deployment)
    return int(scaling.get("min_replicas", 1) if scaling else deployment.get("num_replicas") or 1)


def _span(deployment: dict[str, Any]) -> int:
    """How many replicas more than the least the autoscaler may ask for."""
    scaling = _scaling(deployment)
    return int(scaling.get("max_replicas", 1)) - _least(deployment) if scaling else 0


def _scaling(deployment: dict[str, Any]) -> dict[str, Any] | None:
    """How a deployment scales; `num_replicas: auto` is Serve's word for bounds of its own."""
    given: dict[str, Any] | None = deployment.get("autoscaling_config")
    if deployment.get("num_replicas") == "auto":
        return {"max_replicas": _AUTO_MAX, **(given or {})}
    return given

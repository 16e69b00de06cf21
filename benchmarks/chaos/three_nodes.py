"""Three Ray nodes on this machine with the service on them: python -m benchmarks.chaos.three_nodes

A process of its own, told what to do on stdin (`lose`, `add`, `end`) and answering on stdout with
one JSON object a line. The head has the proxy and the ingress; each of the other two has a replica
of every stage, held there by a made-up resource.
"""

import json
import os
import sys
import tempfile
from typing import Any

from benchmarks.chaos.config import Config
from benchmarks.chaos.serve_state import ServeState
from benchmarks.running_service import free_port, read_config

_STORE = 200_000_000  # bytes of shared memory for each node
_STAGES = ("Preprocess", "UNet", "Postprocess")
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "disabled",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1",  # Ray keeps a cluster of one machine on loopback
    "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": "0.5",
    "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "30",
}


def main() -> None:
    os.environ.pop("RAY_ADDRESS", None)
    os.environ.update(_ENVIRONMENT)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what Ray prints is no answer
    with tempfile.TemporaryDirectory(prefix="ray") as folder:
        os.environ["RAY_TMPDIR"] = folder
        serve_commands(answers)


def serve_commands(answers: Any) -> None:
    import ray  # after the environment has been set
    from ray.cluster_utils import Cluster

    dashboard, port = free_port(), free_port()
    head = {
        "num_cpus": 2,
        "resources": {"head": 1},
        "object_store_memory": _STORE,
        "include_dashboard": True,
        "dashboard_host": "127.0.0.1",
        "dashboard_port": dashboard,
    }
    cluster = Cluster(initialize_head=True, head_node_args=head)
    workers = [add_worker(cluster), add_worker(cluster)]
    try:
        ray.init(address=cluster.address, log_to_driver=False)
        ServeState(f"http://127.0.0.1:{dashboard}").deploy(config(port))
        tell(answers, url=f"http://127.0.0.1:{port}", dashboard=f"http://127.0.0.1:{dashboard}")
        for line in sys.stdin:
            if line.strip() == "lose":
                cluster.remove_node(workers.pop(0), allow_graceful=False)
                tell(answers, lost=True)
            elif line.strip() == "add":
                workers.append(add_worker(cluster))
                tell(answers, node=workers[-1].node_id)
            else:
                break
    finally:
        ray.shutdown()
        cluster.shutdown()


def add_worker(cluster: Any) -> Any:
    return cluster.add_node(num_cpus=2, resources={"worker": 1}, object_store_memory=_STORE)


def config(port: int) -> Config:
    """The shipped configuration with two replicas of each stage, one on each worker node."""
    values = read_config()
    values["http_options"]["port"] = port
    (application,) = values["applications"]
    application["deployments"] = [
        {"name": "Ingress", "ray_actor_options": {"num_cpus": 0.1, "resources": {"head": 0.1}}},
        *(
            {
                "name": stage,
                "num_replicas": 2,
                "max_replicas_per_node": 1,
                "max_ongoing_requests": 32,
                "health_check_period_s": 2,
                "ray_actor_options": {"num_cpus": 0.1, "resources": {"worker": 0.1}},
            }
            for stage in _STAGES
        ),
    ]
    application["args"]["model"]["threads"] = 1
    return values


def tell(answers: Any, **values: object) -> None:
    answers.write(json.dumps(values) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()

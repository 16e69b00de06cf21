"""The Ray nodes of `benchmarks.local_cluster`: a process of its own, told what to do on stdin.

`python -m benchmarks.cluster_nodes HEAD`, HEAD being the head node's options as JSON. Commands and
answers are one JSON object a line: `{"add": {...}}` starts a node, `{"kill": ID}` kills one with
all that runs on it. When stdin ends, everything ends.
"""

import json
import os
import sys
from typing import Any

_STORE = 200_000_000  # bytes of shared memory for each node


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what Ray prints is no answer
    import ray
    from ray.cluster_utils import Cluster

    head = {"object_store_memory": _STORE, "include_dashboard": True, **json.loads(sys.argv[1])}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        ray.init(address=cluster.address, log_to_driver=False)
        tell(answers, address=cluster.address, node=cluster.head_node.node_id)
        for line in sys.stdin:
            tell(answers, **obey(cluster, json.loads(line)))
    finally:
        ray.shutdown()
        cluster.shutdown()


def obey(cluster: Any, command: dict[str, Any]) -> dict[str, str]:
    if "add" in command:
        node = cluster.add_node(object_store_memory=_STORE, **command["add"])
        return {"node": node.node_id}
    (node,) = (node for node in cluster.worker_nodes if node.node_id == command["kill"])
    cluster.remove_node(node, allow_graceful=False)
    return {"killed": node.node_id}


def tell(answers: Any, **values: object) -> None:
    answers.write(json.dumps(values) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()

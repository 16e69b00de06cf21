"""One node of three lost with all that runs on it, and another one joining."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.chaos.config import Config
from benchmarks.chaos.outcome import Outcome, at_most
from benchmarks.chaos.plan import Plan
from benchmarks.chaos.progress import say
from benchmarks.chaos.replicas import answered_again, wait_for_answers, waited
from benchmarks.chaos.traffic import causes, failed, photo, steady_traffic
from benchmarks.local_cluster import LocalCluster, Node, local_cluster
from benchmarks.running_service import read_config

_CLIENTS = 4
_STAGES = ("Preprocess", "UNet", "Postprocess")
_START_S = 300.0
_JOINS_S = 15.0
_BETWEEN_S = 3.0
_HEAD = Node(num_cpus=2, resources={"head": 1})
_WORKER = Node(num_cpus=2, resources={"worker": 1})


def lose_node(plan: Plan) -> Outcome:  # noqa: ARG001
    """Kill a node under load: no request fails; a new node takes work within 15 s."""
    with three_nodes() as cluster:
        lost, _ = cluster.nodes
        with steady_traffic(cluster.url, photo(), _CLIENTS) as answers:
            wait_for_answers(answers, 2 * _CLIENTS)
            time.sleep(_BETWEEN_S)
            lost_at = time.monotonic()
            cluster.kill(lost)
            answered_s = answered_again(answers)
            waited(lambda: not is_whole(cluster), "the loss is not noticed")
            noticed_s = time.monotonic() - lost_at
            say(f"node lost, noticed after {noticed_s:.1f} s, {len(failed(answers))} failed")
            time.sleep(_BETWEEN_S)
            added_at = time.monotonic()
            cluster.add(_WORKER)
            waited(lambda: is_whole(cluster), "the new node takes no work", _START_S)
            joined_s = time.monotonic() - added_at
            say(f"a new node takes work after {joined_s:.1f} s")
            time.sleep(_BETWEEN_S)
        return Outcome(
            [
                at_most("failed requests", len(failed(answers)), 0),
                at_most("until the new node takes work, s", joined_s, _JOINS_S),
            ],
            {
                "requests": len(answers),
                "first good answer to a request after the loss, s": answered_s,
                "until the loss was noticed, s": noticed_s,
                "longest answer, s": max(answer.seconds for answer in answers),
                "failures": causes(answers) or "none",
            },
        )


@contextmanager
def three_nodes() -> Iterator[LocalCluster]:
    """The head has the proxy and the ingress, each of the others a replica of every stage."""
    with local_cluster(_HEAD, [_WORKER, _WORKER], config()) as cluster:
        waited(lambda: is_whole(cluster), "not every node has its replicas", _START_S)
        say("three nodes are up")
        yield cluster


def is_whole(cluster: LocalCluster) -> bool:
    return all(len(cluster.nodes_of(stage)) == 2 for stage in _STAGES)


def config() -> Config:
    """The shipped configuration with two replicas of each stage, one on each worker node."""
    values = read_config()
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

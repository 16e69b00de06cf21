"""Several Ray nodes on this machine with the service on them, for benchmarks and for tests.

What a node says it has is made up: a GPU that nobody has is placed on like a real one.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from benchmarks.chaos.progress import say
from benchmarks.chaos.replicas import waited
from benchmarks.chaos.serve_state import Replica, ServeState
from benchmarks.running_service import free_port
from serve_app.settings import ROOT

_START_S = 300.0
_END_S = 60.0
_ATTEMPTS = 3
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "disabled",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # keeps Ray of all nodes on 127.0.0.1
    "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": "0.5",
    "RAY_health_check_period_ms": "1000",  # as in configs/: a dead node is one after 5
    "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "30",
    "RAY_worker_niceness": "0",  # at Ray's 15, clients on the same cores would starve replicas
    "PYTHONPATH": str(ROOT),  # applications may be those of benchmarks and tests
}


@dataclass(frozen=True)
class Node:
    """What a node says it has."""

    num_cpus: int
    num_gpus: int = 0
    resources: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class LocalCluster:
    """A cluster of our own, and how to change and harm it."""

    url: str
    address: str  # of Ray
    state: ServeState
    nodes: tuple[str, ...]  # ids of the workers that it began with
    process: "subprocess.Popen[str]"

    def add(self, node: Node) -> str:
        """Start another node; its id."""
        return _ask(self.process, {"add": asdict(node)})["node"]

    def kill(self, node_id: str) -> None:
        """Kill a node with all that runs on it."""
        _ask(self.process, {"kill": node_id})

    def drain(self, node_id: str) -> None:
        """Have Serve move everything off a node, as the guide does it."""
        words = ["drain-node", f"--address={self.address}", f"--node-id={node_id}"]
        why = ["--reason=DRAIN_NODE_REASON_PREEMPTION", "--reason-message=maintenance"]
        program = Path(sys.executable).with_name("ray")
        environment = os.environ | _ENVIRONMENT
        subprocess.run([program, *words, *why], env=environment, check=True, capture_output=True)

    def is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz", timeout=5, trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    def replicas(self, stage: str) -> list[Replica]:
        """The replicas of a stage that take requests."""
        return self.state.replicas(stage)

    def has_left(self, node_id: str) -> bool:
        """Whether a node has no replica any more, not even one that finishes its requests."""
        deployments = self.state.application().get("deployments", {})
        replicas = [r for stage in deployments.values() for r in stage["replicas"]]
        nodes = {r.get("node_id") for r in replicas}  # one that has no place yet is on none
        return bool(nodes) and node_id not in nodes  # no answer at all says nothing

    def nodes_of(self, stage: str) -> set[str]:
        """The nodes on which replicas of a stage take requests."""
        return {replica.node_id for replica in self.replicas(stage)}


@contextmanager
def local_cluster(
    head: Node,
    workers: Sequence[Node],
    config: Mapping[str, Any],
    environment: Mapping[str, str] | None = None,
) -> Iterator[LocalCluster]:
    """Start the nodes and the service on them; both end with the block.

    Args:
        head: has the proxy, and whatever else its resources let in.
        workers: the other nodes.
        config: a Serve config. Its port is replaced.
        environment: variables of all processes, laid over this one's own.
    """
    port = free_port()
    with ExitStack() as stack:
        nodes = _started(head, workers, environment or {}, stack)
        state = ServeState(nodes.dashboard)
        state.deploy({**config, "http_options": {**config.get("http_options", {}), "port": port}})
        url = f"http://127.0.0.1:{port}"
        cluster = LocalCluster(url, nodes.address, state, nodes.ids, nodes.process)
        waited(cluster.is_ready, "the cluster is not ready", _START_S)
        yield cluster


@dataclass(frozen=True)
class _Nodes:
    """Nodes without a service."""

    process: "subprocess.Popen[str]"
    address: str
    dashboard: str
    ids: tuple[str, ...]


def _started(
    head: Node, workers: Sequence[Node], environment: Mapping[str, str], stack: ExitStack
) -> _Nodes:
    """Start the nodes, once more where Ray's own deadlines pass on a busy machine."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            with ExitStack() as own:
                nodes = own.enter_context(_running_nodes(head, workers, environment))
                stack.enter_context(own.pop_all())
                return nodes
        except RuntimeError as exc:
            if attempt == _ATTEMPTS:
                raise
            say(f"the nodes did not start, trying once more: {str(exc)[-200:]!r}")
    raise AssertionError


@contextmanager
def _running_nodes(
    head: Node, workers: Sequence[Node], environment: Mapping[str, str]
) -> Iterator[_Nodes]:
    inherited = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    dashboard = free_port()
    options = asdict(head) | {"dashboard_host": "127.0.0.1", "dashboard_port": dashboard}
    # Ray's sockets need a short path.
    with (
        tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder,
        (Path(folder) / "log").open("w") as log,
    ):
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.cluster_nodes", json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            cwd=ROOT,
            env=inherited | _ENVIRONMENT | {"RAY_TMPDIR": folder} | dict(environment),
        )
        family = psutil.Process(process.pid)
        try:
            address = _read(process)["address"]
            ids = tuple(_ask(process, {"add": asdict(node)})["node"] for node in workers)
            yield _Nodes(process, address, f"http://127.0.0.1:{dashboard}", ids)
        except _Ended as exc:
            words = Path(log.name).read_text("utf-8")[-2000:]
            raise RuntimeError(f"the cluster's nodes have ended:\n{words}") from exc
        finally:
            _end(process, family)


def _end(process: "subprocess.Popen[str]", family: psutil.Process) -> None:
    left = family.children(recursive=True) if family.is_running() else []
    for pipe in (process.stdin, process.stdout):
        assert pipe is not None
        pipe.close()  # its loop over commands ends
    try:
        process.wait(_END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for child in psutil.wait_procs(left, timeout=15)[1]:
        child.kill()


def _ask(process: "subprocess.Popen[str]", command: Mapping[str, object]) -> dict[str, str]:
    assert process.stdin is not None
    process.stdin.write(json.dumps(command) + "\n")
    process.stdin.flush()
    return _read(process)


def _read(process: "subprocess.Popen[str]") -> dict[str, str]:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise _Ended
    return dict(json.loads(line))


class _Ended(Exception):
    """The process of the nodes is no more."""

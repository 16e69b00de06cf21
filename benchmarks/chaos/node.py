"""One node of three lost with all that runs on it, and another one joining."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import psutil

from benchmarks.chaos.outcome import Outcome, at_most
from benchmarks.chaos.plan import Plan
from benchmarks.chaos.progress import say
from benchmarks.chaos.replicas import answered_again, wait_for_answers, waited
from benchmarks.chaos.serve_state import ServeState
from benchmarks.chaos.traffic import causes, failed, photo, steady_traffic
from serve_app.settings import ROOT

_CLIENTS = 4
_STAGES = ("Preprocess", "UNet", "Postprocess")
_START_S = 300.0
_JOINS_S = 15.0
_BETWEEN_S = 3.0


@dataclass(frozen=True)
class ThreeNodes:
    """A cluster of our own, and how to harm it."""

    url: str
    state: ServeState
    process: "subprocess.Popen[str]"

    def tell(self, word: str) -> None:
        """Have the cluster lose a node or get another one; back when it is done."""
        assert self.process.stdin is not None
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        _read(self.process)

    def nodes(self, stage: str) -> set[str]:
        """The nodes on which replicas of a stage take requests."""
        deployments = self.state.application().get("deployments", {})
        replicas = deployments.get(stage, {}).get("replicas", [])
        return {str(r["node_id"]) for r in replicas if r["state"] == "RUNNING"}

    def is_whole(self) -> bool:
        return all(len(self.nodes(stage)) == 2 for stage in _STAGES)


def lose_node(plan: Plan) -> Outcome:  # noqa: ARG001
    """Kill a node under load: no request fails; a new node takes work within 15 s."""
    with three_nodes() as cluster:
        with steady_traffic(cluster.url, photo(), _CLIENTS) as answers:
            wait_for_answers(answers, 2 * _CLIENTS)
            time.sleep(_BETWEEN_S)
            lost_at = time.monotonic()
            cluster.tell("lose")
            answered_s = answered_again(answers)
            waited(lambda: not cluster.is_whole(), "the loss is not noticed")
            noticed_s = time.monotonic() - lost_at
            say(f"node lost, noticed after {noticed_s:.1f} s, {len(failed(answers))} failed")
            time.sleep(_BETWEEN_S)
            added_at = time.monotonic()
            cluster.tell("add")
            waited(cluster.is_whole, "the new node takes no work", _START_S)
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
def three_nodes() -> Iterator[ThreeNodes]:
    """Start the cluster in a process of its own, and end it with all that is left of it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.chaos.three_nodes"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
    )
    family = psutil.Process(process.pid)
    try:
        where = _read(process)
        cluster = ThreeNodes(where["url"], ServeState(where["dashboard"]), process)
        waited(lambda: _is_ready(cluster.url), "the cluster is not ready", _START_S)
        waited(cluster.is_whole, "not every node has its replicas", _START_S)
        say("three nodes are up")
        yield cluster
    finally:
        _end(process, family)


def _end(process: "subprocess.Popen[str]", family: psutil.Process) -> None:
    left = family.children(recursive=True) if family.is_running() else []
    assert process.stdin is not None
    process.stdin.close()  # its loop over commands ends
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
    for child in psutil.wait_procs(left, timeout=15)[1]:
        child.kill()


def _read(process: "subprocess.Popen[str]") -> dict[str, str]:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError("the cluster's process has ended")
    return dict(json.loads(line))


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=5, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False

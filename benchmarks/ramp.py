"""How the service grows with its load and shrinks after it: python -m benchmarks.ramp

On a cluster of three nodes on this machine one client sends photos, then forty, then none. Told is
how long it takes until new replicas of each stage serve, how long until only the least are left,
and what failed meanwhile. The exit status is 1 where a limit is missed.

The network is none: it waits 100 ms for each image, so that two cores can carry several replicas of
it, and of each stage there are at most as many as two cores carry. CPUs of the nodes are made up.
As docs/configure.md says for a cluster, what comes may wait until new replicas serve. Everything
else, the autoscaling above all, is that of the configuration.
"""

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks import plots
from benchmarks.chaos.outcome import Check, at_most, percentile
from benchmarks.chaos.progress import say
from benchmarks.chaos.replicas import wait_for_answers
from benchmarks.chaos.serve_state import ServeState
from benchmarks.chaos.traffic import Answer, causes, failed, photo, steady_traffic
from benchmarks.delayed_engine import DELAY_S
from benchmarks.local_cluster import LocalCluster, Node, local_cluster
from benchmarks.results import RESULTS, Run, Table, plot_path
from benchmarks.running_service import STAGES, read_config
from serve_app.settings import ROOT

MOST = {"Ingress": 1, "Preprocess": 2, "UNet": 4, "Postprocess": 2}
GROWING = [stage for stage in STAGES if MOST[stage] > 1]
SERVES_S, LEAST_S = 15.0, 60.0
WAIT_S = 20  # limits.max_wait_s of a cluster, as in configs/kuberay

_NODE = Node(num_cpus=4)
_LOOK_S = 0.5  # each look costs the dashboard time on the same cores
_WINDOW_S = 5.0
_GIVE_UP_S = 180.0
_PHOTO = (512, 288)  # (width, height), px
_NOTE = (
    f"The network is none: it waits {1000 * DELAY_S:.0f} ms for each image. Three Ray nodes on one "
    "machine, their CPUs made up; at most "
    + ", ".join(f"{most} x {stage}" for stage, most in MOST.items())
    + f". Autoscaling as shipped; limits.max_wait_s is {WAIT_S}, as on every cluster."
)


@dataclass(frozen=True)
class Moment:
    """How many replicas of each stage there were at a time."""

    at: float  # monotonic clock
    serving: dict[str, int]  # they take requests
    there: dict[str, int]  # those that start or stop as well


@dataclass(frozen=True)
class Ramp:
    """All that was seen; times are of the monotonic clock."""

    began: float  # the load of all clients
    ended: float
    moments: list[Moment]
    lone: list[Answer]
    answers: list[Answer]  # to all clients

    @property
    def least(self) -> dict[str, int]:
        return self.moments[0].there

    def serves_after(self, stage: str) -> float:
        """Seconds until the first new replica of a stage served; infinite where none did."""
        grown = (m.at for m in self.moments if m.serving[stage] > self.least[stage])
        return next(grown, float("inf")) - self.began

    def most(self, stage: str) -> int:
        return max(moment.serving[stage] for moment in self.moments)

    def least_after(self, stage: str) -> float:
        """Seconds from the load's end until no more than the least of a stage were left."""
        last = max((m.at for m in self.moments if m.there[stage] > self.least[stage]), default=0.0)
        still = self.moments[-1].there[stage] > self.least[stage]
        return float("inf") if still else max(0.0, last - self.ended)

    def rate(self, start: float, end: float) -> float:
        """Good answers a second between two times."""
        done = sum(a.status == 200 and start <= a.ended < end for a in self.answers)
        return done / (end - start)


def main() -> int:
    arguments = parse()
    run = Run("ramp")
    with tempfile.TemporaryDirectory() as jobs:
        config = ramp_config(read_config(arguments.config), jobs)
        with local_cluster(_NODE, [_NODE, _NODE], config) as cluster:
            say("three nodes are up")
            ramp = ramp_up_and_down(cluster, arguments)
    judged = checks(ramp)
    plots.lines(
        plot_path(arguments.json),
        f"Replicas, as {arguments.clients} clients come and go",
        ("s after they came", "replicas that serve"),
        timeline(ramp),
    )
    run.finish(tables(ramp, judged, arguments.clients), arguments.json, [_NOTE], data(ramp))
    return int(not all(check.holds for check in judged))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", type=Path, default=ROOT / "serve_config.yaml")
    parser.add_argument("--clients", type=int, default=40)
    parser.add_argument("--alone", type=float, default=10, help="one client for so long, s")
    parser.add_argument("--seconds", type=float, default=45, help="all clients for so long, s")
    parser.add_argument("--json", type=Path, default=RESULTS / "ramp.json")
    return parser.parse_args()


def ramp_config(config: dict[str, Any], jobs: str) -> dict[str, Any]:
    """A configuration with no network behind it, and no more replicas than two cores carry."""
    (application,) = config["applications"]
    application["import_path"] = "benchmarks.delayed_network:build_app"
    application["args"]["model"]["engine"] = "fake"
    application["args"]["jobs"]["storage"] = jobs
    application["args"]["limits"]["max_wait_s"] = WAIT_S
    for stage in application["deployments"]:
        stage["autoscaling_config"]["max_replicas"] = MOST[stage["name"]]
    return config


def ramp_up_and_down(cluster: LocalCluster, arguments: argparse.Namespace) -> Ramp:
    body = photo(*_PHOTO)
    with steady_traffic(cluster.url, body, 1) as warming:
        wait_for_answers(warming, 5)  # the first requests of each replica are slow
    with watched(cluster.state) as moments:
        with steady_traffic(cluster.url, body, 1) as lone:
            time.sleep(arguments.alone)
        began = time.monotonic()
        say(f"{arguments.clients} clients come")
        with steady_traffic(cluster.url, body, arguments.clients) as answers:
            time.sleep(arguments.seconds)
        ended = time.monotonic()
        say(f"they have gone; {len(failed(answers))} of {len(answers)} requests failed")
        while moments[-1].there != moments[0].there and time.monotonic() < ended + _GIVE_UP_S:
            time.sleep(_LOOK_S)
    return Ramp(began, ended, moments, lone, answers)


@contextmanager
def watched(state: ServeState) -> Iterator[list[Moment]]:
    """Look at the replicas again and again until the block ends; the first look is over then."""
    moments = [_moment(state)]
    over = threading.Event()

    def look() -> None:
        while not over.wait(_LOOK_S):
            moments.append(_moment(state))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield moments
    finally:
        over.set()
        thread.join()


def _moment(state: ServeState) -> Moment:
    while not (found := state.application()):  # no answer says nothing about replicas
        time.sleep(_LOOK_S)
    states = {s: [r["state"] for r in found["deployments"][s]["replicas"]] for s in STAGES}
    serving = {s: names.count("RUNNING") for s, names in states.items()}
    return Moment(time.monotonic(), serving, {s: len(names) for s, names in states.items()})


def checks(ramp: Ramp) -> list[Check]:
    serves = max(ramp.serves_after(stage) for stage in GROWING)
    least = max(ramp.least_after(stage) for stage in STAGES)
    return [
        at_most("new replicas of every stage serve after, s", serves, SERVES_S),
        at_most("the least are left after the load's end, s", least, LEAST_S),
        at_most("failed requests", len(failed(ramp.lone)) + len(failed(ramp.answers)), 0),
    ]


def tables(ramp: Ramp, judged: list[Check], clients: int) -> list[Table]:
    limits = [[c.name, c.value, c.limit, "yes" if c.holds else "NO"] for c in judged]
    stages = [
        [
            stage,
            ramp.least[stage],
            ramp.most(stage),
            ramp.serves_after(stage) if stage in GROWING else None,
            ramp.least_after(stage) if stage in GROWING else None,
        ]
        for stage in STAGES
    ]
    first = ramp.rate(ramp.began, ramp.began + _WINDOW_S)
    last = ramp.rate(ramp.ended - _WINDOW_S, ramp.ended)
    late = [a.seconds for a in ramp.answers if a.began > ramp.ended - 2 * _WINDOW_S]
    loads = [
        ["1 client: p50, s", percentile([a.seconds for a in ramp.lone], 50)],
        [f"{clients} clients, first {_WINDOW_S:g} s: images/s", first],
        [f"{clients} clients, last {_WINDOW_S:g} s: images/s", last],
        [f"{clients} clients at the end: p50, s", percentile(late, 50)],
        ["requests", len(ramp.lone) + len(ramp.answers)],
        ["failures", causes(ramp.lone + ramp.answers) or "none"],
    ]
    columns = ("stage", "least", "most", "first new one serves after, s", "least again after, s")
    return [
        Table("Limits", ("what", "value", "limit", "held"), limits),
        Table("Replicas", columns, stages),
        Table("Load", ("what", "value"), loads),
    ]


def timeline(ramp: Ramp) -> dict[str, list[tuple[float, float]]]:
    """Replicas over time: the points at which their number changes, and the one before each."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for stage in GROWING:
        points = [(moment.at - ramp.began, float(moment.serving[stage])) for moment in ramp.moments]
        kept = [points[0]]
        for before, point in pairwise(points):
            kept += [before, point] if point[1] != before[1] else []
        lines[stage] = [*kept, points[-1]]
    return lines


def data(ramp: Ramp) -> dict[str, Any]:
    return {"timeline": timeline(ramp), "clients_gone_after_s": ramp.ended - ramp.began}


if __name__ == "__main__":
    sys.exit(main())

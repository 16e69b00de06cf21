"""The service as queues: what it would do with more replicas and more cores.

A discrete-event simulation of a closed loop: each client's image goes through the stages in turn.
A stage takes work when a replica of it and a core are free, first come first served; the network's
replica takes all that waits for it, up to its largest batch, and as many of the free cores as it
has threads. The service times are the measured CPU times. What it leaves out: autoscaling, and the
variation of service times from one image to the next.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field

Event = tuple[float, int, "_Job"]


@dataclass(frozen=True)
class Stage:
    """One stage of the service."""

    name: str
    cpu_s: float  # CPU seconds for one image
    replicas: int = 1
    threads: int = 1  # cores that a replica works on at once
    batch: int = 1  # images that a replica takes at once, one after the other in its time


@dataclass(frozen=True)
class _Job:
    stage: int
    images: int
    threads: int  # cores that it holds


@dataclass
class _State:
    """What waits and what is free."""

    waiting: list[int]  # images, by stage
    free: list[int]  # replicas, by stage
    cores: int
    now: float = 0.0
    done: int = 0
    events: list[Event] = field(default_factory=list)
    started: int = 0


def simulate(stages: Sequence[Stage], cores: int, clients: int, images: int = 2000) -> float:
    """Images per second of a closed loop of `clients` on `cores`."""
    state = _State([0 for _ in stages], [stage.replicas for stage in stages], cores)
    state.waiting[0] = clients
    while state.done < images:
        _start_what_can(state, stages)
        state.now, _, job = heapq.heappop(state.events)
        _finish(state, stages, job)
    return state.done / state.now


def _start_what_can(state: _State, stages: Sequence[Stage]) -> None:
    # The last stage first: what is nearly done leaves before new work comes in.
    for index in reversed(range(len(stages))):
        stage = stages[index]
        while state.waiting[index] and state.free[index] and state.cores:
            threads = min(stage.threads, state.cores)
            images = min(stage.batch, state.waiting[index])
            state.waiting[index] -= images
            state.free[index] -= 1
            state.cores -= threads
            state.started += 1
            seconds = images * stage.cpu_s / threads
            job = _Job(index, images, threads)
            heapq.heappush(state.events, (state.now + seconds, state.started, job))


def _finish(state: _State, stages: Sequence[Stage], job: _Job) -> None:
    state.free[job.stage] += 1
    state.cores += job.threads
    following = job.stage + 1
    if following == len(stages):
        state.done += job.images
        following = 0  # the clients send their next images
    state.waiting[following] += job.images


def formula(stages: Sequence[Stage], cores: int) -> float:
    """Images per second at most: what the cores, and each stage's replicas, can do.

    min(cores / sum of cpu_s, for each stage replicas * threads / cpu_s)
    """
    all_cores = cores / sum(stage.cpu_s for stage in stages)
    slowest = min(
        stage.replicas * min(stage.threads, cores) / stage.cpu_s for stage in stages if stage.cpu_s
    )
    return min(all_cores, slowest)

"""The service as queues: what it would do with more replicas and more cores.

A discrete-event simulation of a closed loop: each client's image goes through the stages in turn.
A stage takes work when a replica of it is free, first come first served; the network's replica
takes all that waits for it, up to its largest batch. All work that is going on shares the cores, as
the operating system shares them: where more threads run than there are cores, each gets its part of
one. The service times are the measured CPU times. What it leaves out: autoscaling, and the
variation of service times from one image to the next.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """One stage of the service."""

    name: str
    cpu_s: float  # CPU seconds for one image
    replicas: int = 1
    threads: int = 1  # cores that a replica can work on at once
    batch: int = 1  # images that a replica takes at once


@dataclass
class _Job:
    """A batch that a replica works on."""

    stage: int
    images: int
    threads: int
    left_s: float  # CPU seconds


@dataclass
class _State:
    """What waits, what is free and what is going on."""

    waiting: list[int]  # images, by stage
    free: list[int]  # replicas, by stage
    active: list[_Job]
    now: float = 0.0
    done: int = 0


def simulate(stages: Sequence[Stage], cores: int, clients: int, images: int = 400) -> float:
    """Images per second of a closed loop of `clients` on `cores`."""
    stages = [stage for stage in stages if stage.cpu_s > 0]
    state = _State([0 for _ in stages], [stage.replicas for stage in stages], [])
    state.waiting[0] = clients
    counted: tuple[int, float] | None = None  # when the queues had filled
    while state.done < 2 * images:
        if counted is None and state.done >= images:
            counted = state.done, state.now
        _start_what_can(state, stages, cores)
        _work_until_one_is_done(state, cores)
        for job in [job for job in state.active if job.left_s < 1e-9]:
            _finish(state, stages, job)
    before, since = counted or (0, 0.0)
    return (state.done - before) / (state.now - since)


def _start_what_can(state: _State, stages: Sequence[Stage], cores: int) -> None:
    for index, stage in enumerate(stages):
        while state.waiting[index] and state.free[index]:
            images = min(stage.batch, state.waiting[index])
            state.waiting[index] -= images
            state.free[index] -= 1
            threads = min(stage.threads, cores)
            state.active.append(_Job(index, images, threads, images * stage.cpu_s))


def _work_until_one_is_done(state: _State, cores: int) -> None:
    share = min(1.0, cores / sum(job.threads for job in state.active))
    seconds = min(job.left_s / (job.threads * share) for job in state.active)
    for job in state.active:
        job.left_s -= seconds * job.threads * share
    state.now += seconds


def _finish(state: _State, stages: Sequence[Stage], job: _Job) -> None:
    state.active.remove(job)
    state.free[job.stage] += 1
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

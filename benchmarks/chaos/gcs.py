"""Ray's global control store killed, where no Redis keeps what it knew."""

import time

import psutil

from benchmarks.chaos.config import started
from benchmarks.chaos.outcome import Outcome, at_least, at_most
from benchmarks.chaos.plan import Plan
from benchmarks.chaos.processes import gcs_server
from benchmarks.chaos.progress import say
from benchmarks.chaos.replicas import wait_for_answers
from benchmarks.chaos.traffic import Answer, causes, photo, steady_traffic
from benchmarks.running_service import RunningService, title_of

_CLIENTS = 4
_ENDS_S = 120.0  # until the service has ended by itself, so that its supervisor starts it again


def kill_gcs(service: RunningService, plan: Plan) -> Outcome:  # noqa: ARG001
    """Without Redis the cluster does not survive its control store: what does, and how long.

    What must hold: the service ends by itself, leaves no process behind, and starts again.
    """
    everything = service.tree()
    with steady_traffic(service.url, photo(), _CLIENTS) as answers:
        wait_for_answers(answers, _CLIENTS)
        killed_at = time.monotonic()
        gcs_server(service).kill()
        ended_s = _until_it_ends(service, killed_at)
        say(f"the service ended {ended_s:.1f} s after the kill")
    left = psutil.wait_procs([p for p in everything if p.is_running()], timeout=30)[1]
    names = ", ".join(title_of(process).strip() for process in left)
    good_s = [answer.ended - killed_at for answer in _good(answers, killed_at)]
    began = time.monotonic()
    with started():
        again_s = time.monotonic() - began
    return Outcome(
        [
            at_most("until the service has ended by itself, s", ended_s, _ENDS_S),
            at_most("processes left behind after 30 s", len(left), 0),
            at_least("started again and ready", 1, 1),
        ],
        {
            "good answers after the kill": len(good_s),
            "last good answer, s after the kill": max(good_s, default=0.0),
            "start to ready again, s": again_s,
            "processes left behind": names or "none",
            "failures": causes(answers) or "none",
        },
    )


def _until_it_ends(service: RunningService, killed_at: float) -> float:
    while service.is_running():
        if time.monotonic() - killed_at > _ENDS_S:
            return float("inf")
        time.sleep(0.2)
    return time.monotonic() - killed_at


def _good(answers: list[Answer], since: float) -> list[Answer]:
    return [answer for answer in answers if answer.status == 200 and answer.began > since]

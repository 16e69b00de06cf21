"""kill -9 of what serves, again and again, while requests keep coming."""

import time
from collections.abc import Callable

import psutil

from benchmarks.chaos.outcome import Outcome, at_most
from benchmarks.chaos.plan import Plan
from benchmarks.chaos.processes import find
from benchmarks.chaos.progress import say
from benchmarks.chaos.serve_state import ServeState, serve_state
from benchmarks.chaos.traffic import Answer, causes, failed, photo, steady_traffic
from benchmarks.running_service import RunningService

_CLIENTS = 4
_BETWEEN_S = 2.0  # so that the next victim has work in flight
_GIVE_UP_S = 120.0
_CAPACITY_S = 12.0
_PROXY_S = 6.0


def kill_stage(service: RunningService, plan: Plan, stage: str) -> Outcome:
    """Kill replicas of one stage: no request fails, and there are as many again within 12 s."""
    state = serve_state(service)
    lost_s: list[float] = []
    with steady_traffic(service.url, photo(), _CLIENTS) as answers:
        wait_for_answers(answers, _CLIENTS)
        for _ in range(plan.kills):
            time.sleep(_BETWEEN_S)
            lost_s.append(kill_replica(state, stage))
            say(f"{stage}: replaced after {lost_s[-1]:.1f} s, {len(failed(answers))} failed")
        answered_again(answers)
    return Outcome(
        [
            at_most("failed requests", len(failed(answers)), 0),
            at_most("longest until full capacity, s", max(lost_s), _CAPACITY_S),
        ],
        {
            "kills": plan.kills,
            "requests": len(answers),
            "longest answer, s": max(answer.seconds for answer in answers),
            "failures": causes(answers) or "none",
        },
    )


def kill_replica(state: ServeState, stage: str) -> float:
    """Kill one replica; the seconds until as many as before take requests."""
    before = state.running(stage)
    victim = min(before)
    psutil.Process(victim).kill()
    return waited(lambda: len(state.running(stage) - {victim}) >= len(before), f"{stage} is gone")


def kill_ingress(service: RunningService, plan: Plan) -> Outcome:
    """Kill the ingress replica: what was in flight may fail, nothing else."""
    return _kill(service, plan, "ingress", "longest without an answer, s", _CAPACITY_S)


def kill_proxy(service: RunningService, plan: Plan) -> Outcome:
    """Kill the HTTP proxy: what was in flight may fail, and it is back within 6 s."""
    return _kill(service, plan, "proxy", "longest until the proxy is back, s", _PROXY_S)


def kill_controller(service: RunningService, plan: Plan) -> Outcome:
    """Kill Serve's controller: requests go on, and a replica killed afterwards is replaced."""
    outcome = _kill(service, plan, "controller", "longest without an answer, s", _CAPACITY_S)
    say("does the new controller replace a replica?")
    state = serve_state(service, timeout_s=_GIVE_UP_S)
    waited(lambda: bool(state.running("Postprocess")), "the controller is not back")
    mended_s = kill_replica(state, "Postprocess")
    mended = at_most("a replica killed then: replaced after, s", mended_s, _CAPACITY_S)
    return Outcome([*outcome.checks, mended], outcome.figures)


def _kill(service: RunningService, plan: Plan, what: str, named: str, limit_s: float) -> Outcome:
    killed_at: list[float] = []
    back_s: list[float] = []
    with steady_traffic(service.url, photo(), _CLIENTS) as answers:
        wait_for_answers(answers, _CLIENTS)
        for _ in range(plan.kills):
            time.sleep(_BETWEEN_S)
            waited(lambda: bool(find(service, what)), f"there is no {what}")
            victim = find(service, what)[0]
            killed_at.append(time.monotonic())
            victim.kill()
            back_s.append(answered_again(answers))
            waited(
                lambda gone=victim.pid: any(p.pid != gone for p in find(service, what)),
                f"no new {what}",
            )
            say(f"{what}: an answer after {back_s[-1]:.1f} s, {len(failed(answers))} failed")
    in_flight = max(in_flight_lost(answers, at) for at in killed_at)
    while_away = refused_while_away(answers, killed_at)
    rest = len(failed(answers)) - sum(in_flight_lost(answers, at) for at in killed_at) - while_away
    return Outcome(
        [
            at_most("failed of those in flight, most at one kill", in_flight, _CLIENTS),
            at_most("failed of those sent after the kill", rest, 0),
            at_most(named, max(back_s), limit_s),
        ],
        {
            "kills": plan.kills,
            "requests": len(answers),
            "connections refused while there was no listener": while_away,
            "failures": causes(answers) or "none",
        },
    )


def in_flight_lost(answers: list[Answer], at: float) -> int:
    """How many requests failed that were in flight at that time."""
    return sum(answer.began <= at <= answer.ended for answer in failed(list(answers)))


def refused_while_away(answers: list[Answer], killed_at: list[float]) -> int:
    """Connections that were refused at once: nothing of the request was taken and lost."""
    return sum(
        answer.code == "ConnectError" and any(answer.began > at for at in killed_at)
        for answer in failed(answers)
    )


def answered_again(answers: list[Answer]) -> float:
    """Wait for a good answer to a request that is sent from now on; the seconds it took."""
    start = time.monotonic()
    return waited(
        lambda: any(a.began > start and a.status == 200 for a in answers[-50:]), "no answer"
    )


def wait_for_answers(answers: list[Answer], count: int) -> None:
    waited(lambda: sum(a.status == 200 for a in answers) >= count, "no answers")


def waited(condition: Callable[[], bool], otherwise: str, timeout_s: float = _GIVE_UP_S) -> float:
    """The seconds until a condition holds. Raises TimeoutError."""
    start = time.monotonic()
    while not condition():
        if time.monotonic() - start > timeout_s:
            raise TimeoutError(f"{otherwise} for {timeout_s:g} s")
        time.sleep(0.05)
    return time.monotonic() - start

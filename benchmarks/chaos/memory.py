"""Large photos, eight at a time: what the service holds at most, and that it does not grow."""

import threading
import time

import httpx

from benchmarks.chaos.outcome import Outcome, at_most
from benchmarks.chaos.plan import Plan
from benchmarks.chaos.processes import private_bytes, serving, unique_bytes
from benchmarks.chaos.progress import say
from benchmarks.chaos.traffic import TIMEOUT_S, Answer, ask, causes, failed, photo
from benchmarks.chaos.watch import MEGABYTE, Sample, watching
from benchmarks.running_service import RunningService

_AT_ONCE = 8
_SETTLED = 100  # requests after which nothing may grow any more
_NOISE = 1.05  # two peaks of one steady state differ by chance
_FRESH = 5  # requests that load what is loaded late, before the base is weighed


def large_photos(service: RunningService, plan: Plan) -> Outcome:
    """Peak memory as base + k for each image in flight; no growth after the first hundred."""
    body = photo(4096, 2304)
    with httpx.Client(base_url=service.url, timeout=TIMEOUT_S, trust_env=False) as client:
        for _ in range(_FRESH):
            ask(client, body)
    base = min(_idle(service) for _ in range(3))
    one = _run(service, body, 1, max(10, plan.large_photos // 20))[1]
    answers, samples = _run(service, body, _AT_ONCE, plan.large_photos)
    settled = [s.private_mb for s in samples if s.done >= _SETTLED] or [samples[-1].private_mb]
    middle = len(settled) // 2 or 1
    peak = max(s.private_mb for s in samples)
    grown = max(settled[middle:] or settled) / max(settled[:middle])
    return Outcome(
        [
            at_most("failed requests", len(failed(answers)), 0),
            at_most("peak of the last half after 100, over the first half's", grown, _NOISE),
        ],
        {
            "requests": len(answers),
            "base, MB": base,
            "k for each image in flight, MB": (peak - base) / _AT_ONCE,
            "peak, MB": peak,
            "peak with one image in flight, MB": max(s.private_mb for s in one),
            "afterwards with Ray's object store, pages counted once, MB": _whole(service),
            "failures": causes(answers) or "none",
        },
    )


def _run(
    service: RunningService, body: bytes, clients: int, requests: int
) -> tuple[list[Answer], list[Sample]]:
    answers: list[Answer] = []
    left = iter(range(requests))
    lock = threading.Lock()

    def work() -> None:
        with httpx.Client(base_url=service.url, timeout=TIMEOUT_S, trust_env=False) as client:
            while True:
                with lock:
                    if next(left, None) is None:
                        return
                answers.append(ask(client, body))
                if len(answers) % 50 == 0:
                    say(f"{len(answers)} of {requests} large photos, {clients} at a time")

    with watching(service, lambda: len(answers), every_s=0.2) as samples:
        threads = [threading.Thread(target=work) for _ in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return answers, samples


def _idle(service: RunningService) -> float:
    time.sleep(1)
    return private_bytes(serving(service)) / MEGABYTE


def _whole(service: RunningService) -> float:
    return unique_bytes(serving(service)) / MEGABYTE

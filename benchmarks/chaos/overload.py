"""More than the service can do: what it takes is quick, what it refuses is refused at once."""

from benchmarks.chaos.outcome import Outcome, at_least, at_most, percentile
from benchmarks.chaos.plan import Plan
from benchmarks.chaos.progress import say
from benchmarks.chaos.traffic import Answer, measured, open_loop, photo
from benchmarks.chaos.watch import Sample, watching
from benchmarks.running_service import RunningService

_CLIENTS = 16  # as many as it takes to keep two cores busy; their p99 is "the p99 at capacity"
_REFUSED_S = 0.3
_SLOWER = 2.0
_FLAT = 1.1


def overload(service: RunningService, plan: Plan) -> Outcome:
    """Send several times what the service can do, at a constant rate that waits for nobody."""
    body = photo()
    measured(service.url, body, _CLIENTS, min(5, plan.window_s))  # warm
    normal, capacity = measured(service.url, body, _CLIENTS, plan.window_s)
    normal_s = percentile(_seconds(normal, 200), 99)
    rate = plan.overload_factor * capacity
    say(f"capacity {capacity:.1f} a second with p99 {normal_s:.2f} s; now {rate:.1f} a second")
    with watching(service, lambda: 0) as samples:
        answers, late_s = open_loop(service.url, body, rate, plan.overload_s)
    refused = [answer for answer in answers if answer.code == "overloaded"]
    neither = [a for a in answers if a.status != 200 and a.code != "overloaded"]
    accepted_s = _seconds(answers, 200)
    return Outcome(
        [
            at_most(
                "accepted p99, times that at capacity",
                percentile(accepted_s, 99) / normal_s,
                _SLOWER,
            ),
            at_most("refused p99, s", percentile(_seconds(refused, 503), 99), _REFUSED_S),
            at_most("neither accepted nor refused", len(neither), 0),
            at_most("refusals without Retry-After", sum(not a.retry_after for a in refused), 0),
            at_least("refusals", len(refused), 1),
            at_most("memory, late peak over early peak", growth(samples), _FLAT),
        ],
        {
            "clients at capacity": _CLIENTS,
            "capacity, images/s": capacity,
            "p99 at capacity, s": normal_s,
            "sent, requests/s": rate,
            "sent late, p99, s": late_s,
            "accepted": len(accepted_s),
            "accepted, images/s": len(accepted_s) / plan.overload_s,
            "accepted p50, s": percentile(accepted_s, 50),
            "accepted p99, s": percentile(accepted_s, 99),
            "refused": len(refused),
            "refused p50, s": percentile(_seconds(refused, 503), 50),
            "Retry-After, s": " to ".join(_ends([a.retry_after for a in refused])),
            "peak memory, MB": max(sample.private_mb for sample in samples),
            "other answers": ", ".join(sorted({f"{a.status} {a.code}" for a in neither})) or "none",
        },
    )


def growth(samples: list[Sample]) -> float:
    """The most that was held in the second half, over the most in the first half."""
    half = len(samples) // 2
    early, late = samples[: half or 1], samples[half:]
    return max(s.private_mb for s in late) / max(s.private_mb for s in early)


def _seconds(answers: list[Answer], status: int) -> list[float]:
    return [answer.seconds for answer in answers if answer.status == status]


def _ends(texts: list[str]) -> list[str]:
    numbers = sorted({int(text) for text in texts if text.isdecimal()})
    return [str(number) for number in numbers[:1] + numbers[1:][-1:]]

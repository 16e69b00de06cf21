"""Mixed traffic for an hour: nothing piles up. The same check has to catch a planted leak."""

import io
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import httpx
import numpy as np
from PIL import Image
from scipy.stats import theilslopes

from benchmarks.chaos.outcome import Check, Outcome, at_least, at_most
from benchmarks.chaos.plan import Plan
from benchmarks.chaos.progress import say
from benchmarks.chaos.traffic import photo
from benchmarks.chaos.watch import Sample, watching
from benchmarks.running_service import RunningService

_CLIENTS = 6
_SLOPE_MB = 1.0  # per 1,000 requests
_SLOPE_COUNT = 1.0  # descriptors or threads per 1,000 requests
_CONFIDENCE = 0.95
_LONG_S = 1800  # from here on intervals are narrow: what is judged is their upper end
_SAY_EVERY_S = 30

Call = Callable[[httpx.Client], httpx.Response]


@dataclass(frozen=True)
class Slope:
    """What each 1,000 requests add, with the interval that holds it with 95 % confidence."""

    middle: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.middle:.2f} [{self.low:.2f}, {self.high:.2f}]"


def soak(service: RunningService, plan: Plan) -> Outcome:
    """Memory, descriptors and threads stay flat in the second half."""
    traffic = run(service, plan.soak_s)
    samples, statuses = traffic.samples, traffic.statuses
    return Outcome(
        [
            *flatness(samples, strict=plan.soak_s >= _LONG_S),
            at_most("5xx answers", sum(n for s, n in statuses.items() if s >= 500), 0),
            at_most("no answer", statuses[0], 0),
            at_most("replicas that were replaced", _replaced(samples), 0),
        ],
        {
            "requests": sum(statuses.values()),
            "statuses": ", ".join(f"{n} x {s}" for s, n in sorted(statuses.items())),
            "5xx answers, whole": "\n".join(traffic.faults) or "none",
            "memory at the middle, MB": samples[len(samples) // 2].private_mb,
            "memory at the end, MB": samples[-1].private_mb,
            "descriptors at the end": samples[-1].descriptors,
            "threads at the end": samples[-1].threads,
        },
    )


def control(service: RunningService, plan: Plan) -> Outcome:
    """A service that keeps something of every request must not pass the soak's own check."""
    traffic = run(service, plan.soak_s)
    caught = [check for check in flatness(traffic.samples, strict=False) if not check.holds]
    return Outcome(
        [at_least("checks of the soak that caught the leak", len(caught), 1)],
        {
            "requests": sum(traffic.statuses.values()),
            "caught by": ", ".join(f"{check.name} {check.value}" for check in caught) or "none",
        },
    )


@dataclass(frozen=True)
class Traffic:
    """What a run saw: the service's state over time, and how it answered."""

    samples: list[Sample]
    statuses: Counter[int]
    faults: list[str]  # each 5xx answer: when it came, s from the start, status and body


def flatness(samples: list[Sample], strict: bool) -> list[Check]:
    """The soak's own check: that each slope is under its limit.

    Args:
        samples: of the whole run.
        strict: the whole interval has to be under the limit; else some of it, so that what misses
            has grown for certain.
    """
    return [
        _flat("memory, MB per 1,000 requests", samples, "private_mb", _SLOPE_MB, strict),
        _flat("descriptors per 1,000 requests", samples, "descriptors", _SLOPE_COUNT, strict),
        _flat("threads per 1,000 requests", samples, "threads", _SLOPE_COUNT, strict),
    ]


def slope(samples: list[Sample], field: str) -> Slope:
    """The Theil-Sen slope of the second half: peaks of single requests don't move it."""
    second = samples[len(samples) // 2 :]
    done = np.array([sample.done for sample in second]) / 1000
    with np.errstate(invalid="ignore"):
        found = theilslopes([getattr(sample, field) for sample in second], done, _CONFIDENCE)
    ends = [float(found.low_slope), float(found.high_slope)]
    # Too few samples, or all alike, have no interval.
    low, high = (float(found.slope) if np.isnan(end) else end for end in ends)
    return Slope(float(found.slope), low, high)


def _flat(name: str, samples: list[Sample], field: str, limit: float, strict: bool) -> Check:
    found = slope(samples, field)
    end, judged = (found.high, "upper") if strict else (found.low, "lower")
    rule = f"{judged} end of its interval under {limit:g}"
    return Check(name, str(found), rule, end < limit)


def run(service: RunningService, seconds: float) -> Traffic:
    """Mixed traffic for so long."""
    calls = mixed_calls()
    statuses: Counter[int] = Counter()
    faults: list[str] = []
    lock = threading.Lock()
    began = time.monotonic()
    stop_at = began + seconds
    broken_off = threading.Event()

    def work(first: int) -> None:
        with httpx.Client(base_url=service.url, timeout=120, trust_env=False) as client:
            turn = first
            while time.monotonic() < stop_at and not broken_off.is_set():
                status, body = _answer(client, calls[turn % len(calls)])
                turn += 1
                with lock:
                    statuses[status] += 1
                    if status >= 500:
                        faults.append(f"{time.monotonic() - began:.1f} s: {status} {body}")

    def done() -> int:
        return sum(statuses.values())

    with watching(service, done, every_s=max(0.5, seconds / 600)) as samples:
        threads = [threading.Thread(target=work, args=(2 * i,)) for i in range(_CLIENTS)]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                while thread.is_alive():
                    thread.join(_SAY_EVERY_S)
                    say(f"{done()} requests")
        finally:
            broken_off.set()
    return Traffic(samples, statuses, faults)


def mixed_calls() -> list[Call]:
    """What a day brings: several sizes, formats and surfaces, faults, and clients that leave."""
    small, middle = photo(640, 360), photo()
    png, webp, palette = (_as(small, kind) for kind in ("PNG", "WEBP", "GIF"))
    return [
        lambda c: c.post("/v1/matting", files={"image": middle}),
        lambda c: c.post("/v1/matting", files={"image": small}, data={"preset": "preview"}),
        lambda c: c.post("/v1/matting", files={"image": png}, data={"background": "blur"}),
        lambda c: c.post("/v1/matting", files={"image": webp}, data={"format": "webp"}),
        lambda c: c.post("/v1/matting", files={"image": palette}, data={"output": "alpha"}),
        lambda c: c.post("/v1/matting", content=small, headers={"content-type": "image/jpeg"}),
        lambda c: c.post("/v1.0/removebg", files={"image_file": small}, data={"crop": "true"}),
        lambda c: c.post("/api/remove", files={"file": ("a.jpg", small)}, params={"om": "true"}),
        lambda c: c.post("/v1/matting/batch", files=[("image", small), ("image", b"no image")]),
        lambda c: c.post("/v1/matting", files={"image": small[: len(small) // 2]}),
        lambda c: c.post("/v1/matting", files={"image": b"no image"}),
        lambda c: c.post("/v1/matting", files={"image": small}, data={"erode": "99"}),
        lambda c: c.post("/v1/matting", files={"image": middle}, timeout=0.05),  # leaves at once
        lambda c: c.get("/v1/limits"),
        lambda c: c.get("/nothing"),
    ]


def _answer(client: httpx.Client, call: Call) -> tuple[int, str]:
    """The status, and the body of what went wrong in the service."""
    try:
        answer = call(client)
    except httpx.ReadTimeout:
        return 499, ""  # the client's own leaving
    except httpx.TransportError:
        return 0, ""
    return answer.status_code, answer.text if answer.status_code >= 500 else ""


def _as(photo: bytes, kind: str) -> bytes:
    body = io.BytesIO()
    with Image.open(io.BytesIO(photo)) as image:
        image.save(body, kind)
    return body.getvalue()


def _replaced(samples: list[Sample]) -> int:
    """How many processes ended within the second half; a new one beside them is no fault."""
    second = samples[len(samples) // 2 :]
    return len(frozenset().union(*(s.pids for s in second)) - second[-1].pids)

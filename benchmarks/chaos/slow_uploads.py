"""Hundreds of clients that send at a trickle, and what is left for everybody else."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from benchmarks.chaos.front import nginx_front
from benchmarks.chaos.outcome import Check, Outcome, at_least
from benchmarks.chaos.plan import Plan
from benchmarks.chaos.progress import say
from benchmarks.chaos.replicas import waited
from benchmarks.chaos.traffic import PATH, causes, failed, measured, photo
from benchmarks.running_service import RunningService

_CLIENTS = 4
_GOODPUT = 0.9  # of what it is without the slow uploads
_PIECE, _EVERY_S = 1024, 1.0  # faster than the least rate, so that none is cut off for idleness


@dataclass
class Trickle:
    """The slow uploads of one block."""

    connected: int = 0
    statuses: list[int] = field(default_factory=list)


def slow_uploads(service: RunningService, plan: Plan) -> Outcome:
    """Compare the goodput with and without slow uploads, straight and behind nginx."""
    checks, figures = _compare(service.url, plan, "straight")
    with nginx_front(service.url) as front:
        if front is None:
            checks.append(Check("behind nginx", "no nginx here", "installed", False))
        else:
            more, others = _compare(front, plan, "behind nginx")
            checks, figures = checks + more, figures | others
    return Outcome(checks, figures)


def _compare(url: str, plan: Plan, how: str) -> tuple[list[Check], dict[str, float | int | str]]:
    body = photo()
    measured(url, body, _CLIENTS, min(5, plan.window_s))  # warm
    _, before = measured(url, body, _CLIENTS, plan.window_s)
    with trickling(url, body, plan.slow_uploads) as slow:
        waited(lambda: slow.connected >= plan.slow_uploads, "the slow clients do not connect")
        answers, during = measured(url, body, _CLIENTS, plan.window_s)
        held = slow.connected
    _, after = measured(url, body, _CLIENTS, plan.window_s)
    normal = (before + after) / 2
    say(f"{how}: {normal:.2f} images/s without, {during:.2f} with {held} slow uploads")
    return [
        at_least(f"{how}: goodput with them, of normal", during / normal, _GOODPUT),
        Check(f"{how}: failed", len(failed(answers)), "at most 0", not failed(answers)),
    ], {
        f"{how}: normal, images/s": normal,
        f"{how}: with slow uploads, images/s": during,
        f"{how}: slow uploads held open": held,
        f"{how}: failures": causes(answers) or "none",
        f"{how}: slow uploads answered early": str(sorted(set(slow.statuses))),
    }


@contextmanager
def trickling(url: str, body: bytes, count: int) -> Iterator[Trickle]:
    """Hold this many uploads open, each sending a piece a second; one that ends is begun anew."""
    slow = Trickle()
    loop = asyncio.new_event_loop()
    main = loop.create_task(_all(url, body, count, slow))

    def run() -> None:
        try:
            loop.run_until_complete(main)
        except asyncio.CancelledError:
            pass
        finally:
            loop.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield slow
    finally:
        loop.call_soon_threadsafe(main.cancel)
        thread.join(30)


async def _all(url: str, body: bytes, count: int, slow: Trickle) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(_again_and_again(url, body, slow))


async def _again_and_again(url: str, body: bytes, slow: Trickle) -> None:
    while True:
        try:
            await _upload(url, body, slow)
        except OSError:
            await asyncio.sleep(_EVERY_S)


async def _upload(url: str, body: bytes, slow: Trickle) -> None:
    place = urlsplit(url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    slow.connected += 1
    try:
        writer.write(
            f"POST {PATH} HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Type: image/jpeg\r\n"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
        )
        answer = asyncio.ensure_future(reader.readline())
        for start in range(0, len(body), _PIECE):
            writer.write(body[start : start + _PIECE])
            await writer.drain()
            done, _ = await asyncio.wait([answer], timeout=_EVERY_S)
            if done:
                break
        line = (await asyncio.wait_for(answer, 120)).split()
        slow.statuses.append(int(line[1]) if len(line) > 1 else 0)
    finally:
        slow.connected -= 1
        writer.close()

"""Clients that load a service over HTTP, and what they saw.

A *closed* loop has a fixed number of clients, each of which sends its next request when its last
one is answered: it finds the throughput. A client that is refused comes again when it was told to,
and its latency counts from its first try. An *open* loop sends at times of its own, whatever the
service does, as independent users do; a latency then counts from the time at which a request was
due, so that a service that falls behind cannot hide it.
"""

import http.client
import random
import statistics
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_BOUNDARY = "5d1fb8a9c4"
_TIMEOUT_S = 120
_MOST_CLIENTS = 128  # of an open loop: requests in flight, not those that are due


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, as the client saw it."""

    latency: float  # s, from when the request was due to the last byte of the answer
    status: int
    batch_size: int
    stages: dict[str, float] = field(default_factory=dict)  # ms, from Server-Timing
    retry_after: float | None = None  # s, of a refusal


@dataclass(frozen=True)
class Load:
    """What all clients of a run saw."""

    seconds: float
    answers: list[Answer]

    @property
    def done(self) -> list[Answer]:
        return [answer for answer in self.answers if answer.status == 200]

    @property
    def failures(self) -> int:
        """What was not done, refusals among it."""
        return len(self.answers) - len(self.done)

    @property
    def refusals(self) -> int:
        return sum(answer.retry_after is not None for answer in self.answers)

    @property
    def per_second(self) -> float:
        return len(self.done) / self.seconds

    @property
    def mean_batch(self) -> float | None:
        """Mean over batches; a batch of n is seen by n requests. None where nothing was done."""
        batches = sum(1 / answer.batch_size for answer in self.done)
        return len(self.done) / batches if batches else None

    def percentile(self, percent: float) -> float | None:
        """Milliseconds that this share of the answers stayed under; None where nothing was done."""
        ordered = sorted(answer.latency for answer in self.done)
        if not ordered:
            return None
        return 1000 * ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]

    def stage(self, name: str) -> float | None:
        """Median milliseconds that the service says a stage took."""
        found = [answer.stages[name] for answer in self.done if name in answer.stages]
        return statistics.median(found) if found else None


@dataclass(frozen=True)
class Target:
    """What is asked: where, with which photo and which fields of the form."""

    url: str
    photo: bytes
    fields: dict[str, str] = field(default_factory=dict)
    path: str = "/v1/matting"
    file_field: str = "image"


class Client:
    """One connection, kept open, that posts the same photo again and again."""

    def __init__(self, target: Target) -> None:
        parts = urlsplit(target.url)
        self._connection = http.client.HTTPConnection(
            parts.hostname or "", parts.port, timeout=_TIMEOUT_S
        )
        self._path = target.path
        self._body = form(target.photo, target.fields, target.file_field)
        self._headers = {"Content-Type": form_type()}

    def ask(self, due: float) -> Answer:
        """Post the photo; a connection that breaks is status 0, and a new one the next time."""
        try:
            self._connection.request("POST", self._path, self._body, self._headers)
            answer = self._connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            return Answer(time.perf_counter() - due, 0, 1)
        timing = server_timing(answer.headers.get("server-timing", ""))
        batch = int(answer.headers.get("x-batch-size", 1))
        seconds = time.perf_counter() - due
        return Answer(seconds, answer.status, batch, timing, retry_after(answer))

    def close(self) -> None:
        self._connection.close()


def closed_loop(target: Target, clients: int, seconds: float) -> Load:
    """Let each client send its next request when its last one is answered."""
    start = time.perf_counter()

    def work(_: int) -> list[Answer]:
        client, answers = Client(target), []
        due = start
        while (now := time.perf_counter()) - start < seconds:
            refused = answers[-1].retry_after if answers else None
            if refused is None:
                due = now
            elif now + refused - start < seconds:
                time.sleep(refused)
            else:
                break
            answers.append(client.ask(due))
        client.close()
        return answers

    return _together(work, range(clients), start)


def open_loop(target: Target, rate: float, seconds: float, seed: int = 0) -> Load:
    """Send `rate` requests a second at random times (a Poisson process)."""
    random_times = random.Random(seed)
    due, at = [], random_times.expovariate(rate)
    while at < seconds:
        due.append(at)
        at += random_times.expovariate(rate)
    lock, waiting = threading.Lock(), iter(due)
    start = time.perf_counter()

    def work(_: int) -> list[Answer]:
        client, answers = Client(target), []
        while True:
            with lock:
                offset = next(waiting, None)
            if offset is None:
                client.close()
                return answers
            time.sleep(max(0.0, start + offset - time.perf_counter()))
            answers.append(client.ask(start + offset))

    return _together(work, range(min(_MOST_CLIENTS, max(1, len(due)))), start)


def _together(work: Callable[[int], list[Answer]], clients: Iterable[int], start: float) -> Load:
    with ThreadPoolExecutor(_MOST_CLIENTS) as pool:
        answers = [answer for part in pool.map(work, clients) for answer in part]
    return Load(time.perf_counter() - start, answers)


def retry_after(answer: http.client.HTTPResponse) -> float | None:
    """Seconds, of an answer that refuses for now (RFC 9110, 10.2.3)."""
    told = answer.headers.get("retry-after")
    return float(told) if told and answer.status in (429, 503) else None


def form_type() -> str:
    """Content type of what `form` makes."""
    return f"multipart/form-data; boundary={_BOUNDARY}"


def form(photo: bytes, fields: dict[str, str], name: str) -> bytes:
    """A multipart body: fields first, then the photo."""
    head = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="'
    parts = [f'{head}{key}"\r\n\r\n{value}\r\n'.encode() for key, value in fields.items()]
    parts.append(f'{head}{name}"; filename="photo.jpg"\r\n'.encode())
    parts.append(b"Content-Type: image/jpeg\r\n\r\n" + photo + b"\r\n")
    return b"".join([*parts, f"--{_BOUNDARY}--\r\n".encode()])


def server_timing(header: str) -> dict[str, float]:
    """Milliseconds by stage from a `Server-Timing` header."""
    pairs = (part.strip().split(";dur=") for part in header.split(",") if ";dur=" in part)
    return {name: float(value) for name, value in pairs}

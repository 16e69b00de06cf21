"""Requests to a running service, and what became of each one."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

import httpx

from benchmarks.chaos.outcome import percentile
from benchmarks.photos import scaled
from serve_app.settings import ROOT

PHOTO = ROOT / "docs" / "images" / "astronaut.jpg"
PATH = "/v1/matting"
TIMEOUT_S = 120
_MOST_IN_FLIGHT = 200  # of an open loop: over what the service ever holds, refusals come at once
_PAUSE_S = 0.05  # after a failure, so that a refused connection is no busy loop


@dataclass(frozen=True)
class Answer:
    """One request's fate; times are of the monotonic clock."""

    began: float
    ended: float
    status: int  # 0 where there was no whole answer
    code: str  # the problem's own, or the name of the transport's error
    retry_after: str

    @property
    def seconds(self) -> float:
        return self.ended - self.began

    @property
    def is_ours(self) -> bool:
        """Whether an error is one that the service itself wrote."""
        return self.status == 200 or (self.status > 0 and self.code != "")


def photo(width: int = 1024, height: int = 576) -> bytes:
    """The photo of the benchmarks at a size, as a JPEG."""
    return scaled(PHOTO, (width, height))


@contextmanager
def steady_traffic(url: str, body: bytes, clients: int) -> Iterator[list[Answer]]:
    """Keep this many requests in flight, each client's next when its last is answered.

    What is given grows while the block runs, and is whole when it has been left.
    """
    answers: list[Answer] = []
    stop = threading.Event()

    def keep_asking() -> None:
        with httpx.Client(base_url=url, timeout=TIMEOUT_S, trust_env=False) as client:
            while not stop.is_set():
                answer = ask(client, body)
                answers.append(answer)
                if answer.status != 200:
                    time.sleep(_PAUSE_S)

    threads = [threading.Thread(target=keep_asking, daemon=True) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        stop.set()
        for thread in threads:
            thread.join(TIMEOUT_S)


def ask(client: httpx.Client, body: bytes) -> Answer:
    """Post one photo, come what may."""
    began = time.monotonic()
    try:
        return _read(began, client.post(PATH, files={"image": body}))
    except httpx.TransportError as exc:
        return Answer(began, time.monotonic(), 0, type(exc).__name__, "")


def measured(url: str, body: bytes, clients: int, seconds: float) -> tuple[list[Answer], float]:
    """The answers of a closed loop of so long, and how many came well a second."""
    began = time.monotonic()
    with steady_traffic(url, body, clients) as answers:
        time.sleep(seconds)
    good = sum(answer.status == 200 for answer in answers)
    return answers, good / (time.monotonic() - began)


def open_loop(url: str, body: bytes, rate: float, seconds: float) -> tuple[list[Answer], float]:
    """Send `rate` requests a second, whether or not the earlier ones have been answered.

    Each counts from when it was due, so that a late start hides nothing. What is given beside the
    answers is how late the 99th of a hundred began: that much is this client's and not the
    service's. It shares the machine with the service, so each thread keeps one plain connection
    and sends bytes that were put together once.
    """
    request = httpx.Request("POST", url + PATH, files={"image": body})
    content, headers = request.read(), {"content-type": request.headers["content-type"]}
    due = iter(range(int(rate * seconds)))
    lock, start = threading.Lock(), time.monotonic()
    answers: list[Answer] = []
    late: list[float] = []

    def keep_sending() -> None:
        parts = urlsplit(url)
        connection = HTTPConnection(parts.hostname or "", parts.port, timeout=TIMEOUT_S)
        while True:
            with lock:
                number = next(due, None)
            if number is None:
                connection.close()
                return
            at = start + number / rate
            time.sleep(max(0.0, at - time.monotonic()))
            late.append(time.monotonic() - at)
            answers.append(_post(connection, at, content, headers))

    threads = [threading.Thread(target=keep_sending, daemon=True) for _ in range(_MOST_IN_FLIGHT)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers, percentile(late, 99)


def _post(
    connection: HTTPConnection, began: float, content: bytes, headers: dict[str, str]
) -> Answer:
    """Post once; a connection that breaks is opened anew by the next one."""
    try:
        connection.request("POST", PATH, content, headers)
        response = connection.getresponse()
        answer = response.read()
    except (OSError, HTTPException) as exc:
        connection.close()
        return Answer(began, time.monotonic(), 0, type(exc).__name__, "")
    code = ""
    if response.headers.get("content-type") == "application/problem+json":
        code = json.loads(answer).get("code", "")
    after = response.headers.get("retry-after", "")
    return Answer(began, time.monotonic(), response.status, code, after)


def _read(began: float, response: httpx.Response) -> Answer:
    code = ""
    if response.headers.get("content-type") == "application/problem+json":
        code = response.json().get("code", "")
    retry_after = response.headers.get("retry-after", "")
    return Answer(began, time.monotonic(), response.status_code, code, retry_after)


def failed(answers: list[Answer]) -> list[Answer]:
    return [answer for answer in answers if answer.status != 200]


def causes(answers: list[Answer]) -> str:
    """Every kind of failure with its number, in words."""
    kinds = sorted({(answer.status, answer.code) for answer in failed(answers)})
    return ", ".join(
        f"{sum((a.status, a.code) == kind for a in answers)} x {kind[0] or ''} {kind[1]}".strip()
        for kind in kinds
    )

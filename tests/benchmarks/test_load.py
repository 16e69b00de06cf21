"""Clients against a server that answers as told."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from benchmarks.load import Answer, Load, Target, closed_loop, open_loop, server_timing


@contextmanager
def answering(
    delay_s: float = 0.0, status: int = 200, retry_after: str = ""
) -> Iterator[tuple[str, list[bytes]]]:
    """A server of one thread at work: requests wait for each other."""
    bodies: list[bytes] = []
    turn = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            with turn:
                bodies.append(body)
                time.sleep(delay_s)
            self.send_response(status)
            self.send_header("Content-Length", "2")
            if retry_after:
                self.send_header("Retry-After", retry_after)
            self.send_header("X-Batch-Size", "2")
            self.send_header("Server-Timing", "decode;dur=1.5, infer;dur=20.0")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", bodies
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_closed_loop_keeps_each_client_busy_and_counts_every_answer() -> None:
    with answering() as (url, bodies):
        load = closed_loop(Target(url, b"JPEG", {"preset": "bulk"}), 3, 0.3)
    assert len(load.done) == len(bodies) > 3
    assert load.failures == 0
    assert load.mean_batch == 2
    assert load.stage("infer") == 20
    assert load.per_second == pytest.approx(len(bodies) / load.seconds)
    assert b'name="preset"\r\n\r\nbulk\r\n' in bodies[0]
    assert b"\r\n\r\nJPEG\r\n" in bodies[0]


def test_refusals_are_failures_and_not_fast_answers() -> None:
    with answering(status=503) as (url, _):
        load = closed_loop(Target(url, b"JPEG"), 1, 0.1)
    assert load.failures == len(load.answers) > 0
    assert load.percentile(50) is None
    assert load.mean_batch is None


def test_the_refused_come_again_when_they_were_told_to() -> None:
    with answering(status=503, retry_after="1") as (url, bodies):
        load = closed_loop(Target(url, b"JPEG"), 2, 1.5)
    assert load.refusals == load.failures == len(bodies) == 4  # at once and after 1 s
    latencies = sorted(answer.latency for answer in load.answers)
    assert latencies[1] < 0.5 < 1 < latencies[2], "counted from the first try"


def test_nobody_listening_is_a_failure() -> None:
    with answering() as (url, _):
        pass
    load = closed_loop(Target(url, b"JPEG"), 1, 0.05)
    assert load.failures == len(load.answers) > 0


def test_an_open_loop_counts_the_wait_of_requests_that_were_due() -> None:
    # A server that can do 20 a second is sent 60 a second: the last ones are due long before
    # their turn, and their latency has to say so.
    with answering(delay_s=0.05) as (url, bodies):
        load = open_loop(Target(url, b"JPEG"), 60, 1.0)
    assert len(load.done) == len(bodies) > 20
    slowest = load.percentile(100)
    assert slowest is not None
    assert slowest > 1000 * (len(bodies) * 0.05 - 1.0) * 0.9


def test_percentiles() -> None:
    load = Load(2.0, [Answer(i / 1000, 200, 1) for i in range(1, 101)])
    assert load.percentile(50) == pytest.approx(51)
    assert load.percentile(99) == pytest.approx(100)
    assert load.per_second == 50


def test_server_timing_is_read() -> None:
    assert server_timing("decode;dur=1.5, queue;dur=0.0") == {"decode": 1.5, "queue": 0.0}
    assert server_timing("") == {}

"""What is let in, what is told to come back and when, and what is dropped when a client leaves."""

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

import httpx
import numpy as np
import pytest

from serve_app.api.admission import Admission, pixels_of
from serve_app.api.service import LocalMatting
from serve_app.engines.fake import FakeEngine
from serve_app.errors import Full, Overloaded
from serve_app.options import Options
from serve_app.settings import Limits, Settings
from serve_app.types import Array, Result, Upload
from tests.api.conftest import serving
from tests.conftest import encoded, picture

LIMITS = Limits(max_inflight=20, max_inflight_pixels=100, max_inflight_bytes=1000, max_wait_s=10)


class Clock:
    """Time that passes when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def measured(seconds_each: float, clock: Clock, limits: Limits = LIMITS) -> Admission:
    """An admission that has seen five images, one after another."""
    admission = Admission(limits, clock)
    for _ in range(5):
        with admission.admitted(1):
            clock.now += seconds_each
    return admission


def measured_full(seconds_each: float, clock: Clock) -> Admission:
    """An admission with eight images at work, and twenty done while there were as many."""
    admission = Admission(LIMITS, clock)
    entered = fill(admission, 8)
    for _ in range(20):
        clock.now += seconds_each
        entered.pop(0).__exit__(None, None, None)
        entered += fill(admission, 1)
    return admission


def fill(admission: Admission, images: int, pixels: int = 1) -> list[AbstractContextManager[None]]:
    entered = [admission.admitted(pixels) for _ in range(images)]
    for one in entered:
        one.__enter__()
    _KEPT.extend(entered)  # what is collected would leave
    return entered


_KEPT: list[AbstractContextManager[None]] = []


class TestAdmission:
    def test_a_bound_on_the_count(self) -> None:
        admission = Admission(LIMITS)
        entered = fill(admission, 20)
        with pytest.raises(Overloaded, match=r"20 images are at work, limits\.max_inflight is 20"):
            admission.check()
        entered[0].__exit__(None, None, None)
        admission.check()

    def test_a_bound_on_pixels_that_one_image_alone_may_pass(self) -> None:
        admission = Admission(LIMITS)
        (large,) = fill(admission, 1, pixels=5000)
        with pytest.raises(Overloaded, match="max_inflight_pixels"):
            fill(admission, 1)
        large.__exit__(None, None, None)
        fill(admission, 2, pixels=50)
        with pytest.raises(Overloaded):
            fill(admission, 1)
        assert (admission.images, admission.pixels) == (2, 100)

    def test_a_bound_on_bytes_that_one_upload_alone_may_pass(self) -> None:
        admission = Admission(LIMITS)
        admission.hold(900, own=0)
        admission.hold(900, own=900)
        with pytest.raises(Overloaded, match="max_inflight_bytes"):
            admission.hold(1, own=0)
        admission.release(1800)
        assert admission.held_bytes == 0

    def test_the_wait_is_the_queue_over_the_pace(self) -> None:
        admission = measured(2.0, Clock())
        fill(admission, 4)
        assert admission.expected_wait_s() == pytest.approx(8.0)

    def test_too_long_a_wait_is_refused_and_says_when_to_come_back(self) -> None:
        admission = measured_full(1.4, Clock())
        with pytest.raises(Overloaded, match="11 s at the present pace") as refused:
            admission.check()
        assert refused.value.retry_after == 12

    def test_a_full_one_need_not_be_asked_for_a_quarter_of_its_wait(self) -> None:
        admission = measured(0.1, Clock())
        fill(admission, 20)
        with pytest.raises(Full) as refused:
            admission.check()
        assert refused.value.pause_s == pytest.approx(0.5)
        with pytest.raises(Full) as refused:
            measured_full(1.4, Clock()).check()
        assert refused.value.pause_s == 1.0

    def test_what_one_request_is_refused_for_says_nothing_of_the_next(self) -> None:
        admission = Admission(LIMITS)
        admission.hold(900, own=0)
        fill(admission, 1, pixels=90)
        for refused in (lambda: admission.hold(200, own=0), lambda: fill(admission, 1, pixels=20)):
            with pytest.raises(Overloaded) as error:
                refused()
            assert not isinstance(error.value, Full)

    def test_a_few_are_let_in_however_slow_it_is(self) -> None:
        admission = measured_full(100.0, Clock())
        with pytest.raises(Overloaded) as refused:
            admission.check()
        assert refused.value.retry_after == 60

    def test_one_clients_pace_keeps_no_burst_out(self) -> None:
        admission = measured(2.0, clock := Clock())
        burst = fill(admission, 16)  # 32 s at that pace
        for one in burst:  # but those that come together are done at 2 a second
            clock.now += 0.5
            one.__exit__(None, None, None)
            fill(admission, 1)
        assert admission.expected_wait_s() == pytest.approx(8.0)

    def test_the_pace_of_many_is_what_counts(self) -> None:
        admission = measured(100.0, clock := Clock())
        burst = fill(admission, 16)
        for one in burst[:8]:
            clock.now += 2
            one.__exit__(None, None, None)
        with pytest.raises(Overloaded, match="16 s at the present pace"):
            admission.check()

    def test_idle_time_does_not_slow_the_pace(self) -> None:
        clock = Clock()
        admission = measured(0.5, clock)
        clock.now += 3600
        fill(admission, 10)
        assert admission.expected_wait_s() == pytest.approx(5.0)

    def test_images_side_by_side_count_as_such(self) -> None:
        clock = Clock()
        admission = Admission(LIMITS, clock)
        for _ in range(3):
            entered = fill(admission, 4)
            clock.now += 2
            for one in entered:
                one.__exit__(None, None, None)
        fill(admission, 6)
        assert admission.expected_wait_s() == pytest.approx(3.0)  # 2 a second

    def test_the_pace_follows_a_change(self) -> None:
        clock = Clock()
        admission = measured(1.0, clock)
        for _ in range(60):
            with admission.admitted(1):
                clock.now += 4
        fill(admission, 1)
        assert admission.expected_wait_s() == pytest.approx(4.0, rel=0.05)

    def test_what_fails_is_no_progress(self) -> None:
        admission = measured(1.0, clock := Clock())
        for _ in range(100):
            with pytest.raises(ValueError), admission.admitted(1):
                raise ValueError
        fill(admission, 2)
        assert admission.expected_wait_s() == pytest.approx(2.0)
        assert clock.now == 105


def test_pixels_come_from_headers() -> None:
    limits = Limits()
    image, other = encoded(picture(30, 40)), encoded(picture(50, 60), "JPEG")
    assert pixels_of(Upload(image), limits) == 1200
    assert pixels_of(Upload(image, other, image), limits) == 1200 + 3000 + 1200
    assert pixels_of(Upload(b"who knows"), limits) == limits.max_pixels
    assert pixels_of(Upload(encoded(picture(30, 40))[:20]), limits) == limits.max_pixels


class SlowEngine(FakeEngine):
    """Works when it is let, and remembers whose images it saw."""

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.may_work = threading.Event()

    def predict(self, rgb: Array, trimap: Array) -> Array:
        self.seen += rgb[:, 0, 0, 0].tolist()
        assert self.may_work.wait(60)
        return super().predict(rgb, trimap)


class WatchedMatting(LocalMatting):
    """Knows how many requests wait for it."""

    inside = 0

    async def matte(self, upload: Upload, options: Options) -> Result:
        self.inside += 1
        try:
            return await super().matte(upload, options)
        finally:
            self.inside -= 1


@pytest.fixture
def engine() -> Iterator[SlowEngine]:
    engine = SlowEngine()
    yield engine
    engine.may_work.set()


@pytest.fixture
def matting(engine: SlowEngine, settings: Settings) -> WatchedMatting:
    return WatchedMatting(engine, settings)


@pytest.fixture
def url(engine: SlowEngine, matting: WatchedMatting, settings: Settings) -> Iterator[str]:
    limits = settings.limits.model_copy(
        update={"max_inflight": 3, "max_inflight_pixels": 30_000, "max_bytes": 30_000_000}
    )
    settings = settings.model_copy(update={"limits": limits})
    with serving(settings, matting) as url:
        yield url
        engine.may_work.set()


def square(red: int) -> bytes:
    return encoded(np.full((64, 64, 3), (red, 0, 0), np.uint8))


def until(condition: object, timeout_s: float = 30) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.01)


def ask(url: str, path: str, image: bytes) -> httpx.Response:
    return httpx.post(url + path, files={field(path): image}, timeout=60, trust_env=False)


def field(path: str) -> str:
    return {"/v1.0/removebg": "image_file", "/api/remove": "file"}.get(path, "image")


SURFACES = ["/v1/matting", "/v1.0/removebg", "/api/remove"]


def test_overload_is_told_in_each_surfaces_words(
    url: str, engine: SlowEngine, matting: WatchedMatting
) -> None:
    with ThreadPoolExecutor(3) as pool:
        accepted = [pool.submit(ask, url, path, square(200)) for path in SURFACES]
        until(lambda: matting.inside == 3)
        # A body far larger than any socket's buffer: it need not be read to be refused.
        for body in (square(7), bytes(20_000_000)):
            refused = [ask(url, path, body) for path in SURFACES]
            assert [answer.status_code for answer in refused] == [503] * 3
            assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
        assert refused[0].headers["content-type"] == "application/problem+json"
        assert refused[0].json()["code"] == "overloaded"
        assert refused[1].json()["errors"][0]["code"] == "overloaded"
        assert "try again" in refused[2].json()["detail"]
        engine.may_work.set()
        assert {future.result().status_code for future in accepted} == {200}
    assert engine.seen.count(7) == 0


def test_a_burst_of_large_images_is_refused_before_it_is_decoded(
    url: str, engine: SlowEngine
) -> None:
    large = encoded(picture(200, 300), "JPEG")  # twice max_inflight_pixels
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(ask, url, "/v1/matting", large)
        until(lambda: engine.seen)
        second = ask(url, "/v1/matting", large)
        assert (second.status_code, second.json()["code"]) == (503, "overloaded")
        assert "max_inflight_pixels" in second.json()["detail"]
        engine.may_work.set()
        assert first.result().status_code == 200


@pytest.mark.parametrize("path", SURFACES)
def test_the_image_of_a_client_that_left_never_reaches_the_network(
    url: str, engine: SlowEngine, matting: WatchedMatting, path: str
) -> None:
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(ask, url, path, square(201))
        until(lambda: engine.seen)
        leave_while_waiting(matting, url, path, square(202))
        second = pool.submit(ask, url, path, square(203))
        until(lambda: matting.inside == 2)
        engine.may_work.set()
        assert {first.result().status_code, second.result().status_code} == {200}
    assert engine.seen == [201, 203]


def leave_while_waiting(matting: WatchedMatting, url: str, path: str, image: bytes) -> None:
    """Send a whole request, and hang up once it waits for its turn."""
    before = matting.inside
    body = httpx.Request("POST", url + path, files={field(path): image})
    head = f"POST {path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in body.headers.items())
    with socket.create_connection((httpx.URL(url).host, httpx.URL(url).port)) as connection:
        connection.sendall(head.encode() + b"\r\n" + body.read())
        until(lambda: matting.inside > before)
    until(lambda: matting.inside == before)


def test_places_come_back_when_clients_leave(
    url: str, engine: SlowEngine, matting: WatchedMatting
) -> None:
    for red in range(5):  # two more than places
        leave_while_waiting(matting, url, "/v1/matting", square(red))
    engine.may_work.set()
    assert ask(url, "/v1/matting", square(9)).status_code == 200
    assert set(engine.seen) <= {0, 9}  # the first may have been with the network already


def test_slow_uploads_take_nobodys_place(settings: Settings) -> None:
    head = (
        "POST /v1/matting HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n"
        "Content-Type: image/png\r\n\r\n"
    )
    with serving(settings) as url:
        address = (httpx.URL(url).host, httpx.URL(url).port)
        slow = [socket.create_connection(address) for _ in range(300)]
        try:
            for connection in slow:
                connection.sendall(head.encode() + bytes(1000))
            with ThreadPoolExecutor(4) as pool:
                answers = list(pool.map(lambda _: ask(url, "/v1/matting", square(9)), range(8)))
        finally:
            for connection in slow:
                connection.close()
    assert {answer.status_code for answer in answers} == {200}


def test_bytes_held_by_uploads_are_bounded(settings: Settings) -> None:
    limits = settings.limits.model_copy(update={"max_inflight_bytes": 100_000})
    head = (
        "POST /v1/matting HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n"
        "Content-Type: image/png\r\n\r\n"
    )
    with serving(settings.model_copy(update={"limits": limits})) as url:
        with socket.create_connection((httpx.URL(url).host, httpx.URL(url).port)) as slow:
            slow.sendall(head.encode() + bytes(99_990))
            until(lambda: ask(url, "/v1/matting", square(9)).status_code == 503)
            refused = ask(url, "/v1/matting", square(9))
            assert "max_inflight_bytes" in refused.json()["detail"]
        until(lambda: ask(url, "/v1/matting", square(9)).status_code == 200)


def test_a_request_that_takes_too_long_is_a_504(engine: SlowEngine, settings: Settings) -> None:
    limits = settings.limits.model_copy(update={"request_timeout_s": 0.5})
    settings = settings.model_copy(update={"limits": limits})
    with serving(settings, LocalMatting(engine, settings)) as url:
        answer = ask(url, "/v1/matting", square(1))
        assert (answer.status_code, answer.json()["code"]) == (504, "timeout")
        assert ask(url, "/v1/matting", square(2)).status_code == 504
        engine.may_work.set()
        until(lambda: ask(url, "/v1/matting", square(3)).status_code == 200)
    assert 2 not in engine.seen

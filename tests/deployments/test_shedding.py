"""A proxy that refuses what a full ingress would: step by step, and in the real service."""

import http.client
import json
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from benchmarks.chaos.traffic import photo
from benchmarks.running_service import RunningService, read_config, running_service
from serve_app.deployments.shedding import ShedsWhileFull, TellsProxy
from serve_app.settings import parse_settings
from tests.api.conftest import serving
from tests.api.test_admission import (
    SURFACES,
    Clock,
    SlowEngine,
    WatchedMatting,
    ask,
    square,
    until,
)
from tests.conftest import encoded, picture

HEADER = "x-matting-full"


@dataclass
class Shed:
    """A service of one place behind a proxy's middleware, whose network works when it is let."""

    engine: SlowEngine
    clock: Clock
    matting: WatchedMatting
    url: str = ""
    reached: list[str] = field(default_factory=list)  # paths that came to the ingress
    heard: list[tuple[str, int]] = field(default_factory=list)  # what the proxy told of its answers

    def observer_of(self, application: str) -> "Shed":
        assert application == "matting"
        return self

    def answered(self, route: str, status: int, seconds: float) -> None:
        self.heard.append((route, status))

    def refused(self, reason: str) -> None:
        assert reason == "overloaded"

    @contextmanager
    def full(self) -> Iterator[Future[httpx.Response]]:
        """Have an image at work, and a refusal that says so."""
        with ThreadPoolExecutor(1) as pool:
            accepted = pool.submit(ask, self.url, "/v1/matting", square(1))
            until(lambda: self.matting.inside == 1)
            self.asked("/v1/matting", reaches=True)
            try:
                yield accepted
            finally:
                self.engine.may_work.set()

    def asked(self, path: str, reaches: bool, image: bytes = square(7)) -> httpx.Response:
        """A refusal, by whom it should be."""
        before = len(self.reached)
        answer = ask(self.url, path, image)
        assert answer.status_code == 503
        assert HEADER not in answer.headers
        assert (len(self.reached) > before) == reaches
        return answer


@pytest.fixture
def shed(tmp_path: Path) -> Iterator[Shed]:
    with shedding(tmp_path, max_inflight=1) as shed:
        yield shed


@contextmanager
def shedding(jobs: Path, max_inflight: int) -> Iterator[Shed]:
    limits = {"max_inflight": max_inflight, "max_inflight_pixels": 30_000}
    settings = parse_settings({"limits": limits, "jobs": {"storage": str(jobs)}}, environ={})
    engine = SlowEngine()
    shed = Shed(engine, Clock(), WatchedMatting(engine, settings))

    def wrapped(app: ASGIApp) -> ASGIApp:
        told = TellsProxy(app, "matting")

        async def ingress(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                shed.reached.append(scope["path"])
            await told(scope, receive, send)

        return ShedsWhileFull(ingress, shed.observer_of, shed.clock)

    with serving(settings, shed.matting, wrapped=wrapped) as shed.url:
        yield shed
        engine.may_work.set()


def test_the_proxy_answers_as_the_ingress_does(shed: Shed) -> None:
    with shed.full():
        for path in SURFACES:
            shed.clock.now += 10
            asked = shed.asked(path, reaches=True)
            told = shed.asked(path, reaches=False)
            assert told.headers["retry-after"] == asked.headers["retry-after"]
            # The proxy knows of no limit to anyone's rate, and counts nothing against it.
            names = {name for name in asked.headers if not name.startswith("x-ratelimit")}
            assert told.headers.keys() == names
            assert told.headers["x-request-id"] != asked.headers["x-request-id"]
            bodies = [answer.json() for answer in (asked, told)]
            for answer, body in zip((asked, told), bodies, strict=True):
                own = answer.headers["x-request-id"]
                assert body.pop("request_id", own) == own
            assert bodies[0] == bodies[1]
    assert shed.heard == [(path, 503) for path in SURFACES]


def test_after_a_pause_one_finds_out_anew(shed: Shed) -> None:
    with shed.full() as accepted:
        shed.asked("/v1/matting", reaches=False)
        shed.clock.now += 2
        shed.asked("/v1/matting", reaches=True)
        shed.asked("/v1/matting", reaches=False)
    assert accepted.result().status_code == 200


def test_a_place_that_comes_free_is_given_at_once(shed: Shed) -> None:
    with shed.full() as accepted:
        shed.asked("/v1/matting", reaches=False)
        shed.engine.may_work.set()
        assert accepted.result().status_code == 200
        until(lambda: ask(shed.url, "/v1/matting", square(7)).status_code == 200)


def test_all_but_images_pass(shed: Shed) -> None:
    with shed.full():
        for path in ("/healthz", "/readyz", "/v1/limits", "/v1/presets", "/", "/api/remove"):
            httpx.get(shed.url + path)
            assert shed.reached[-1] == path
        answer = httpx.post(f"{shed.url}/v1/jobs", files={"image": square(7)})
        assert answer.status_code == 202


def test_a_refusal_for_what_a_request_is_shuts_nobody_out(tmp_path: Path) -> None:
    with shedding(tmp_path, max_inflight=9) as shed, ThreadPoolExecutor(2) as pool:
        answers = [pool.submit(ask, shed.url, "/v1/matting", square(1))]
        until(lambda: shed.matting.inside == 1)
        large = encoded(picture(200, 300), "JPEG")
        assert "pixels" in shed.asked("/v1/matting", reaches=True, image=large).text
        answers.append(pool.submit(ask, shed.url, "/v1/matting", square(2)))
        until(lambda: shed.matting.inside == 2)
        shed.engine.may_work.set()
        assert {answer.result().status_code for answer in answers} == {200}


def post_large(url: str) -> list[int]:
    """Statuses of a body far larger than any socket's buffer, and of what follows it."""
    parts = httpx.URL(url)
    connection = http.client.HTTPConnection(parts.host, parts.port or 0, timeout=30)
    headers = {"Content-Type": "image/png"}
    connection.request("POST", "/v1/matting", bytes(20_000_000), headers)
    refused = connection.getresponse()
    refused.read()
    kept = connection.sock
    connection.request("GET", "/healthz")
    healthy = connection.getresponse()
    healthy.read()
    assert connection.sock is kept
    connection.close()
    return [refused.status, healthy.status]


def test_a_large_upload_is_refused_without_a_reset(shed: Shed) -> None:
    with shed.full():
        before = len(shed.reached)
        assert post_large(shed.url) == [503, 200]
        assert shed.reached[before:] == ["/healthz"]


@pytest.fixture(scope="module")
def narrow() -> Iterator[RunningService]:
    """The real service with one place."""
    config = read_config()
    arguments = config["applications"][0]["args"]
    arguments["limits"]["max_inflight"] = 1
    arguments["model"] = {"engine": "fake"}
    with running_service(config, {"RAY_metrics_report_interval_ms": "1000"}) as service:
        service.wait_until_ready()
        yield service


def test_the_real_proxy_refuses_and_counts(narrow: RunningService) -> None:
    body = photo(2048, 1152)
    end = time.monotonic() + 5
    health: list[int] = []

    def keep_asking(_: int) -> list[httpx.Response]:
        answers = []
        with httpx.Client(base_url=narrow.url, timeout=60, trust_env=False) as client:
            while time.monotonic() < end:
                answers.append(client.post("/v1/matting", files={"image": body}))
                time.sleep(0.02)
        return answers

    with ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(keep_asking, i) for i in range(4)]
        while time.monotonic() < end:
            health.append(httpx.get(f"{narrow.url}/healthz").status_code)
            time.sleep(0.2)
        answers = [answer for one in asking for answer in one.result()]
    refused = [answer for answer in answers if answer.status_code != 200]
    assert len(answers) > len(refused) > 20
    assert set(health) == {200}
    for answer in refused:
        assert (answer.status_code, answer.json()["code"]) == (503, "overloaded")
        assert int(answer.headers["retry-after"]) >= 1
        assert answer.json()["request_id"] == answer.headers["x-request-id"]
        assert HEADER not in answer.headers
    until(lambda: post_to(narrow.url).status_code == 200)
    assert 0 < logged(narrow) < len(refused)
    # By the ingress and by the proxy together, and most of them by the proxy.
    until(lambda: sum(counted(narrow, "rejections", 'reason="overloaded"')) >= len(refused))
    proxys, ingresses = counted(narrow, "requests", 'code="503", route="/v1/matting"')
    assert proxys > ingresses > 0


def post_to(url: str) -> httpx.Response:
    return httpx.post(f"{url}/v1/matting", files={"image": square(3)}, timeout=60)


def logged(service: RunningService) -> int:
    """Lines of refusals in the proxy's log."""
    (log,) = (service.log.parent / "ray/session_latest/logs/serve").glob("proxy_*.log")
    lines = [line for line in log.read_text().splitlines() if '-- request {"' in line]
    fields = [json.loads(line.partition("-- request ")[2]) for line in lines]
    assert {(f["path"], f["status"], f["code"]) for f in fields} == {
        ("/v1/matting", 503, "overloaded")
    }
    return len(fields)


def counted(service: RunningService, name: str, labels: str) -> tuple[float, float]:
    """A counter's value in the proxy, whose series name no deployment, and in the ingress."""
    found = json.loads((service.log.parent / "ray/prom_metrics_service_discovery.json").read_text())
    values = {False: 0.0, True: 0.0}
    for target in {target for group in found for target in group["targets"]}:
        for line in httpx.get(f"http://{target}/metrics").text.splitlines():
            wanted = [f"ray_matting_{name}_total{{", 'application="matting"', *labels.split(", ")]
            if all(part in line for part in wanted):
                values['deployment="Ingress"' in line] += float(line.rpartition(" ")[2])
    return values[False], values[True]

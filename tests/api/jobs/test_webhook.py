"""Webhooks and manifests: what goes out to other hosts, and what comes from there."""

import base64
import hashlib
import hmac
import json
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from serve_app.api.jobs.manifest import read_manifest
from serve_app.errors import InputError, MissingImage, SettingsError
from serve_app.options import load_presets, resolve_options
from serve_app.settings import Settings, parse_settings, resolve_path
from tests.api.conftest import serving
from tests.api.jobs.conftest import SECRET, caller, ended, images, square


class Receiver(ThreadingHTTPServer):
    """A client's server: refuses the first webhook, and serves a manifest and a photo."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.received: list[tuple[dict[str, str], bytes]] = []
        self.host = f"127.0.0.1:{self.server_port}"
        self.url = f"http://{self.host}"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.received.append(({k.lower(): v for k, v in self.headers.items()}, body))
        if "*/*" not in self.headers.get("accept", "*/*"):
            self._answer(406, b"")  # as frameworks do that negotiate; ours is no image
        else:
            self._answer(500 if len(self.server.received) == 1 else 204, b"")

    def do_GET(self) -> None:
        url = self.server.url
        rows = [
            f"{url}/photo.png,first.png,",
            f"{url}/photo.png,,webp",
            f"{url}/missing.png,,",
            "http://10.0.0.1/private.png,,",
            f"{url}/photo.png,bad.png,gif",
            ",none.png,",
        ]
        manifest = "\r\n".join(["uri,name,format", *rows]).encode()
        bodies = {"/photo.png": square(200), "/manifest.csv": manifest, "/text": b"\xff\xfe"}
        body = bodies.get(self.path)
        if self.path.endswith(".csv") and "*/*" not in self.headers["accept"]:
            self._answer(406, b"")
        else:
            self._answer(404 if body is None else 200, body or b"")

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def client(
    make_settings: Callable[..., Settings], receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> Iterator[httpx.Client]:
    monkeypatch.setattr("serve_app.api.jobs.webhook._DELAYS_S", (0, 0.05, 0.05))
    settings = make_settings(remote={"test_hosts": [receiver.host]})
    with serving(settings) as url, caller(url) as client:
        yield client


def test_the_end_is_told_and_signed(client: httpx.Client, receiver: Receiver) -> None:
    fields: list[tuple[str, Any]] = [("webhook", (None, f"{receiver.url}/hook"))]
    created = client.post("/v1/jobs", files=[*fields, *images(("a.png", square(200)))])
    status = ended(client, created.json()["status_url"])
    until = time.monotonic() + 60
    while len(receiver.received) < 2:
        assert time.monotonic() < until
        time.sleep(0.02)
    for headers, body in receiver.received:
        assert json.loads(body) == status
        assert headers["webhook-id"] == status["id"]
        assert headers["user-agent"].startswith("cvunet-serve/")
        assert abs(time.time() - int(headers["webhook-timestamp"])) < 120
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        key = base64.b64decode(SECRET.removeprefix("whsec_"))
        expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        assert headers["webhook-signature"] == f"v1,{expected}"


def test_webhooks_that_nobody_takes_hold_no_other_job_up(
    make_settings: Callable[..., Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serve_app.api.jobs.webhook._DELAYS_S", (0, 600))
    nobody = "127.0.0.1:1"
    settings = make_settings(remote={"test_hosts": [nobody]}, jobs={"storage": str(tmp_path)})
    hook = [("webhook", (None, f"http://{nobody}/"))]
    with serving(settings) as url, caller(url) as client:
        for _ in range(4):  # as many as are at work at once
            response = client.post("/v1/jobs", files=[*hook, *images(("a.png", square(200)))])
            ended(client, response.json()["status_url"])
        last = client.post("/v1/jobs", files=images(("a.png", square(200)))).json()
        assert ended(client, last["status_url"], timeout_s=20)["state"] == "done"


def test_images_of_a_manifest(client: httpx.Client, receiver: Receiver) -> None:
    fields = {"manifest": (None, f"{receiver.url}/manifest.csv"), "format": (None, "png")}
    created = client.post("/v1/jobs", files=fields)
    assert created.status_code == 202, created.text
    status = ended(client, created.json()["status_url"])
    assert status["files"]["done"] == 2
    assert [(e["index"], e["name"], e["code"]) for e in status["errors"]] == [
        (2, "missing.png", "download_failed"),
        (3, "private.png", "url_not_allowed"),
        (4, "bad.png", "invalid_option"),
        (5, "none.png", "invalid_request"),
    ]
    result = client.get(status["result_url"]).content
    assert result.count(b"first.png") >= 2
    assert result.count(b"photo.webp") >= 2


@pytest.mark.parametrize(
    ("path", "expected"),
    [("/none.csv", (502, "download_failed")), ("/text", (400, "invalid_request"))],
)
def test_a_manifest_that_cannot_be_read(
    client: httpx.Client, receiver: Receiver, path: str, expected: tuple[int, str]
) -> None:
    response = client.post("/v1/jobs", files={"manifest": (None, receiver.url + path)})
    assert (response.status_code, response.json()["code"]) == expected


PRESETS = load_presets(resolve_path(Settings().presets_path))


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", MissingImage, "no rows"),
        ("uri\n", MissingImage, "no rows"),
        ("url\nhttp://a/\n", InputError, "no column 'uri'"),
        ("uri\n" + "http://a/\n" * 4, InputError, "over 3 rows in the manifest"),
    ],
)
def test_a_manifest_is_refused_by_name(text: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        read_manifest(text.encode(), lambda own: resolve_options(own, PRESETS), 3)


def test_a_manifest_of_far_too_many_rows_is_not_read_whole() -> None:
    data = b"uri\n" + b"a\n" * 200_000
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="over 3 rows"):
            read_manifest(data, lambda own: resolve_options(own, PRESETS), 3)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000  # bytes
    finally:
        tracemalloc.stop()


def test_a_row_of_another_length() -> None:
    text = b"uri,erode\nhttp://a/1.png,1,2\nhttp://a/2.png\nhttp://a/3.png,1\n"
    files = read_manifest(text, lambda own: resolve_options(own, PRESETS), 3)
    assert [file.code for file in files] == ["invalid_request", "invalid_request", ""]
    assert files[2].options is not None
    assert files[2].options["erode"] == 1


@pytest.mark.parametrize("secret", ["plain", "whsec_AAAA", "whsec_not base64"])
def test_a_bad_secret_is_refused_and_not_shown(secret: str) -> None:
    with pytest.raises(SettingsError, match=r"jobs\.webhook_secret.*hidden.*24 to 64") as caught:
        parse_settings({"jobs": {"webhook_secret": secret}}, environ={})
    assert secret not in str(caught.value)
    with pytest.raises(SettingsError):
        parse_settings({}, environ={"CVUNET_WEBHOOK_SECRET": secret})


def test_the_environment_wins_and_its_secret_is_not_shown() -> None:
    environ = {"CVUNET_WEBHOOK_SECRET": SECRET, "CVUNET_JOBS_STORAGE": "/jobs"}
    settings = parse_settings({"jobs": {"storage": "other", "keep_s": 5}}, environ=environ)
    assert (settings.jobs.storage, settings.jobs.keep_s) == (Path("/jobs"), 5)
    assert settings.jobs.webhook_secret.get_secret_value() == SECRET
    assert SECRET not in repr(settings)

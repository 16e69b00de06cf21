"""A running service over a socket, and a host of pictures for it to fetch from."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.types import ASGIApp

from serve_app.api.app import build_api
from serve_app.api.observer import SILENT, Observer
from serve_app.api.service import LocalMatting, Matting
from serve_app.engines.fake import FakeEngine
from serve_app.options import load_presets
from serve_app.settings import Settings, parse_settings, resolve_path
from tests.conftest import encoded, picture


@contextmanager
def serving(
    settings: Settings,
    matting: Matting | None = None,
    observer: Observer = SILENT,
    wrapped: Callable[[ASGIApp], ASGIApp] = lambda app: app,
) -> Iterator[str]:
    """Run the API on a free port of loopback; gives its base URL."""
    presets = load_presets(resolve_path(settings.presets_path))
    matting = matting or LocalMatting(FakeEngine(), settings)
    app = wrapped(build_api(matting, settings, presets, observer=observer))
    config = uvicorn.Config(app, port=0, ws="none", lifespan="auto", log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(10)


class _PhotoHost(BaseHTTPRequestHandler):
    """`/photo.png`, `/list.csv` of it and `/missing`, `/to?<url>`, `/slow`, `/endless`, `/hop`,
    `/é.png` by way of `/accents`.
    """

    protocol_version = "HTTP/1.0"

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        if path in ("/photo.png", "/%C3%A9.png"):
            self._answer(200, encoded(picture()))
        elif path == "/accents":
            self.send_response(302)
            self.send_header("Location", "/é.png".encode().decode("latin-1"))  # sent as UTF-8
            self.end_headers()
        elif path in ("/to", "/hop"):
            self.send_response(302)
            self.send_header("Location", query or "/hop")
            self.end_headers()
        elif path == "/slow":
            time.sleep(3)
        elif path == "/endless":
            self.send_response(200)
            self.end_headers()
            for _ in range(1000):
                self.wfile.write(bytes(100_000))
        elif path == "/list.csv":
            rows = [f"http://{self.headers['host']}/{name}" for name in ("photo.png", "missing")]
            self._answer(200, "\n".join(["uri", *rows]).encode())
        elif path == "/text":
            self._answer(200, b"no image at all")
        else:
            self._answer(404, b"")

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A client that goes away early is what some tests are about."""


@pytest.fixture(scope="session")
def photo_host() -> Iterator[str]:
    server = _QuietServer(("127.0.0.1", 0), _PhotoHost)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="session")
def settings(photo_host: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Small limits, and URLs fetched from the host of pictures."""
    return parse_settings(
        {
            "limits": {"max_bytes": 3_000_000, "max_pixels": 2_000_000, "max_edge": 4000},
            "remote": {
                "enabled": True,
                "timeout_s": 1.0,
                "test_hosts": [photo_host.removeprefix("http://")],
            },
            "jobs": {"storage": str(tmp_path_factory.mktemp("jobs"))},
        },
        environ={},
    )


@pytest.fixture(scope="session")
def service(settings: Settings) -> Iterator[str]:
    with serving(settings) as url:
        yield url


@pytest.fixture(scope="session")
def client(service: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service, timeout=30, trust_env=False) as client:
        yield client


@pytest.fixture(scope="session")
def photo() -> bytes:
    """160 x 90 px; the subject is a red disc of 60 px in its middle."""
    return encoded(picture())


Post = Callable[..., httpx.Response]


@pytest.fixture(scope="session")
def remove(client: httpx.Client, photo: bytes) -> Post:
    """Call `POST /v1.0/removebg` with the photo and the parameters given."""

    def call(**parameters: Any) -> httpx.Response:
        return client.post(
            "/v1.0/removebg", data=parameters, files={"image_file": ("a.png", photo)}
        )

    return call

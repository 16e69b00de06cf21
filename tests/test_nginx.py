"""The shipped nginx configuration with a real nginx before the API: who is slow waits there."""

import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from benchmarks.chaos.front import CONFIGS, find_nginx, nginx_front, running_nginx
from benchmarks.running_service import free_port, read_config
from serve_app.settings import Settings, parse_settings
from tests.api.conftest import serving
from tests.conftest import encoded, picture

SERVICE = (CONFIGS / "service.conf").read_text("utf-8")


@pytest.fixture(scope="module", autouse=True)
def nginx() -> str:
    """The program; needed in CI, and a reason to skip elsewhere."""
    program = find_nginx()
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("nginx is missing: CI must have it")
        pytest.skip("nginx is not installed")
    return program


@pytest.fixture(scope="module")
def nobody() -> Iterator[str]:
    """Where nothing listens, and nothing will: the port is taken."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@dataclass
class Seen:
    """An application that notes which requests come to it."""

    paths: list[str] = field(default_factory=list)

    def wrap(self, app: ASGIApp) -> ASGIApp:
        async def noting(scope: Scope, receive: Receive, send: Send) -> None:
            self.paths.append(scope["path"])
            await app(scope, receive, send)

        return noting


@pytest.fixture(scope="module")
def seen() -> Seen:
    return Seen()


@pytest.fixture(scope="module")
def front(seen: Seen) -> Iterator[str]:
    with serving(parse_settings({}), wrapped=seen.wrap) as url, nginx_front(url) as front:
        assert front is not None
        yield front


@pytest.fixture(scope="module")
def client(front: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=front, timeout=60, trust_env=False) as client:
        yield client


def connected(url: str) -> socket.socket:
    place = urlsplit(url)
    return socket.create_connection((place.hostname, place.port), 60)


def head(path: str, length: int, kind: str = "image/png") -> bytes:
    return (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {length}\r\n\r\n"
    ).encode()


def test_an_upload_reaches_the_service_when_all_of_it_has_come(front: str, seen: Seen) -> None:
    body = encoded(picture())
    seen.paths.clear()
    with connected(front) as line:
        line.sendall(head("/v1/matting", len(body)) + body[:-1])
        # Had nginx passed it on, the service would have seen it before this second request.
        assert httpx.get(f"{front}/v1/limits", trust_env=False).status_code == 200
        assert seen.paths == ["/v1/limits"]
        line.sendall(body[-1:])
        answer = line.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 200")
    assert seen.paths == ["/v1/limits", "/v1/matting"]


def test_slow_uploads_by_the_hundred_leave_the_service_alone(front: str, seen: Seen) -> None:
    body = encoded(picture())
    lines = [connected(front) for _ in range(300)]
    try:
        for line in lines:
            line.sendall(head("/v1/matting", len(body)) + body[:100])
        seen.paths.clear()
        answer = httpx.post(f"{front}/v1/matting", files={"image": body}, trust_env=False)
        assert answer.status_code == 200
        assert seen.paths == ["/v1/matting"]
    finally:
        for line in lines:
            line.close()


def test_a_batch_streams_while_it_is_being_sent(front: str) -> None:
    photo = encoded(picture())
    part = b'--b\r\nContent-Disposition: form-data; name="image"; filename="%d.png"\r\n\r\n%s\r\n'
    parts = [part % (i, photo) for i in range(3)]
    end = b"--b--\r\n"
    length = sum(map(len, parts)) + len(end)
    with connected(front) as line:
        line.sendall(head("/v1/matting/batch", length, "multipart/form-data; boundary=b"))
        line.sendall(parts[0] + parts[1])
        answer = line.recv(65536)  # while the third photo has not been sent
        assert answer.startswith(b"HTTP/1.1 200")
        line.sendall(parts[2] + end)
        answer += line.makefile("rb").read()
    assert b"manifest.json" in answer


def test_large_bodies_pass_and_what_is_too_large_is_refused_in_our_words(
    client: httpx.Client,
) -> None:
    large = encoded(picture(2000, 3000), "BMP")
    assert 17e6 < len(large) < 25e6
    options = {"format": "jpeg", "size": "network", "max_side": "128", "decontaminate": "false"}
    answer = client.post("/v1/matting", files={"image": large}, data=options)
    assert answer.status_code == 200
    # Over the limit of one file: the service says so. Over that of the host: nginx does.
    for size, detail in ((25_000_001, "limits.max_bytes"), (80_000_000, "this host")):
        refused = client.post("/v1/matting", files={"image": bytes(size)})
        problem = refused.json()
        assert (refused.status_code, problem["code"]) == (413, "file_too_large")
        assert detail in problem["detail"]
        assert refused.headers["content-type"] == "application/problem+json"


def test_a_request_id_passes_and_one_that_is_no_word_is_replaced(client: httpx.Client) -> None:
    mine = client.get("/v1/limits", headers={"X-Request-Id": "mine-1"})
    assert mine.headers["x-request-id"] == "mine-1"
    other = client.get("/v1/limits", headers={"X-Request-Id": 'a"b'})
    assert re.fullmatch(r"[0-9a-f]{32}", other.headers["x-request-id"])


def hasty(service: str) -> str:
    return re.sub(r"(client_(?:header|body)_timeout)\s+\d+s", r"\1 1s", service)


def test_who_is_too_slow_is_cut_off(nobody: str) -> None:
    with nginx_front(nobody, hasty) as url:
        for beginning in (b"POST /v1/matting HTTP/1.1\r\nHos", head("/v1/matting", 500) + b"x"):
            with connected(url) as line:
                line.sendall(beginning)
                answer = line.makefile("rb").read()  # until nginx closes the connection
                assert answer == b"" or answer.startswith(b"HTTP/1.1 408")


def test_a_service_that_is_away_is_a_503_of_ours(nobody: str) -> None:
    with nginx_front(nobody) as url:
        answer = httpx.get(f"{url}/v1/limits", trust_env=False)
    assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
    assert answer.headers["retry-after"] == "5"
    assert answer.json()["request_id"]


def for_three_clients(service: str) -> str:
    return re.sub(r"(limit_conn\s+cvunet_clients) \d+;", r"\1 3;", service)


def test_one_address_cannot_take_every_connection(nobody: str) -> None:
    with nginx_front(nobody, for_three_clients) as url:
        lines = [connected(url) for _ in range(3)]
        try:
            for line in lines:
                line.sendall(head("/v1/matting", 500) + b"x")
            time.sleep(0.2)
            answer = httpx.get(f"{url}/v1/limits", trust_env=False)
        finally:
            for line in lines:
                line.close()
    assert (answer.status_code, answer.json()["code"]) == (503, "overloaded")


def test_the_tls_example_serves_over_tls_and_sends_there(
    nginx: str, tmp_path: Path, front: str
) -> None:
    plain, tls = free_port(), free_port()
    certificate(tmp_path)
    (tmp_path / "service.conf").write_text(SERVICE, "utf-8")
    http = (CONFIGS / "cvunet.conf").read_text("utf-8")
    for old, new in (
        ("listen 80;", f"listen 127.0.0.1:{plain};"),
        ("listen 443 ssl", f"listen 127.0.0.1:{tls} ssl"),
        ("/etc/ssl/cvunet/", f"{tmp_path}/"),
        ("/etc/nginx/cvunet-service.conf", f"{tmp_path}/service.conf"),
        ("127.0.0.1:8000", urlsplit(front).netloc),
    ):
        assert old in http
        http = http.replace(old, new)
    trust = ssl.create_default_context(cafile=str(tmp_path / "fullchain.pem"))
    with running_nginx(nginx, tmp_path, http, tls):
        answer = httpx.post(
            f"https://localhost:{tls}/v1/matting",
            files={"image": encoded(picture())},
            verify=trust,
            trust_env=False,
            timeout=60,
        )
        redirect = httpx.post(f"http://127.0.0.1:{plain}/v1/matting", trust_env=False)
    assert answer.status_code == 200
    assert answer.headers["strict-transport-security"].startswith("max-age=")
    assert redirect.status_code == 308
    assert redirect.headers["location"].startswith("https://")


def certificate(folder: Path) -> None:
    """A certificate for localhost that is its own authority."""
    subprocess.run(
        [
            *(shutil.which("openssl") or "openssl", "req", "-x509", "-newkey", "ec"),
            *("-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
            *("-keyout", str(folder / "privkey.pem"), "-out", str(folder / "fullchain.pem")),
        ],
        check=True,
        capture_output=True,
    )


def test_its_figures_follow_the_settings() -> None:
    settings = Settings()
    limits = settings.limits
    whole = int(re.search(r"client_max_body_size\s+(\d+)m;", SERVICE)[1]) * 2**20
    assert 3 * limits.max_bytes + 1_000_000 <= whole < 3.5 * limits.max_bytes
    assert f"client_body_timeout   {limits.upload_idle_timeout_s:.0f}s;" in SERVICE
    times = [int(t) for t in re.findall(r"proxy_read_timeout\s+(\d+)s;", SERVICE)]
    config = read_config()
    assert times[0] > limits.request_timeout_s
    assert times[1] == config["http_options"]["request_timeout_s"]
    port = config["http_options"]["port"]
    assert f"server 127.0.0.1:{port};" in (CONFIGS / "cvunet.conf").read_text("utf-8")
    for text in re.findall(r"return \d+ '(.*)';", SERVICE):
        assert set(json.loads(text)) == {
            *("type", "title", "status", "detail", "code", "request_id"),
        }

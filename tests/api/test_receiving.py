"""Slow and broken uploads on every route that takes one."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext, suppress

import pytest
from starlette.types import Message

from serve_app.api.receiving import receive_pieces
from serve_app.errors import UploadTimeout
from serve_app.settings import Limits, Settings
from tests.api.conftest import serving

PATHS = ["/v1/matting", "/v1/matting/batch", "/v1.0/removebg", "/api/remove"]
HEAD = (
    "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n"
    "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
)
PART = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'


@pytest.fixture(scope="module")
def impatient(settings: Settings) -> Iterator[tuple[str, int]]:
    limits = settings.limits.model_copy(
        update={"upload_idle_timeout_s": 0.4, "upload_timeout_s": 1.0}
    )
    with serving(settings.model_copy(update={"limits": limits})) as url:
        host, port = url.removeprefix("http://").split(":")
        yield host, int(port)


def answer_to(address: tuple[str, int], path: str, pieces: Iterator[bytes]) -> bytes:
    """Send pieces until they end or the service hangs up; gives what it answered."""
    answer: list[bytes] = []
    with socket.create_connection(address, timeout=10) as connection:

        def read() -> None:
            with suppress(OSError):  # a service that hangs up on what is still coming resets
                while b'"detail"' not in b"".join(answer) and (data := connection.recv(65536)):
                    answer.append(data)

        reader = threading.Thread(target=read)
        reader.start()
        connection.sendall(HEAD.format(path=path, length=2_000_000).encode() + PART)
        with suppress(OSError):
            for piece in pieces:
                connection.sendall(piece)
                if answer:
                    break
        reader.join(10)
    return b"".join(answer)


def silence() -> Iterator[bytes]:
    yield from ()


def trickle(size: int) -> Iterator[bytes]:
    while True:
        time.sleep(0.02)
        yield bytes(size)


@pytest.mark.parametrize("path", PATHS)
def test_an_upload_that_stalls_or_trickles_is_408(impatient: tuple[str, int], path: str) -> None:
    for pieces in (silence(), trickle(1)):
        started = time.monotonic()
        answer = answer_to(impatient, path, pieces)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"too slowly" in answer
        assert time.monotonic() - started < 5


@pytest.mark.parametrize("path", ["/v1/matting", "/v1.0/removebg", "/api/remove"])
def test_one_request_has_a_time_for_all_of_it(impatient: tuple[str, int], path: str) -> None:
    answer = answer_to(impatient, path, trickle(2000))
    assert answer.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("path", PATHS)
def test_a_form_cut_short_is_400(service: str, path: str) -> None:
    host, port = service.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(HEAD.format(path=path, length=len(PART) + 3).encode() + PART + b"abc")
        assert connection.recv(100).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("path", PATHS)
def test_a_client_that_leaves_amid_its_upload_harms_nothing(service: str, path: str) -> None:
    host, port = service.removeprefix("http://").split(":")
    for _ in range(3):
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(HEAD.format(path=path, length=10_000).encode() + PART)
    test_a_form_cut_short_is_400(service, path)


@pytest.mark.parametrize(("held_s", "taken"), [(1.1, True), (1.5, False)])
def test_what_is_held_back_on_the_way_is_allowed_for(held_s: float, taken: bool) -> None:
    """By Serve's proxy, say: it is a quarter of the time late at most."""
    limits = Limits(upload_idle_timeout_s=1.0, upload_min_rate=1000)
    pieces = [bytes(600), bytes(600), b"end"]

    async def receive() -> Message:
        await asyncio.sleep(held_s / 2)
        body = pieces.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(pieces)}

    async def received() -> int:
        return sum([len(piece) async for piece in receive_pieces(receive, limits)])

    with nullcontext() if taken else pytest.raises(UploadTimeout, match="too slowly"):
        assert asyncio.run(received()) == 1203

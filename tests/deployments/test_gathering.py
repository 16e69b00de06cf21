"""Uploads that come slowly reach the service in few pieces, whole, and no later than need be."""

import asyncio
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app.deployments.gathering import Gathers
from serve_app.settings import Settings, parse_settings
from tests.api.conftest import serving
from tests.conftest import encoded, picture

_PIECES = 60
_EVERY_S = 0.02


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return parse_settings({"jobs": {"storage": str(tmp_path)}}, environ={})


class Counting:
    """Counts the pieces that reach an application."""

    def __init__(self, app: ASGIApp) -> None:
        self.pieces = 0
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def counted() -> Message:
            message = await receive()
            self.pieces += message["type"] == "http.request"
            return message

        await self._app(scope, counted, send)


def sent(url: str, pieces: list[bytes], length: int) -> bytes:
    """What is answered to an upload that comes a piece at a time; its first line."""
    host, port = url.removeprefix("http://").split(":")
    head = f"POST /v1/matting HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n"
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(f"{head}Content-Type: image/png\r\n\r\n".encode())
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(_EVERY_S)
        return connection.recv(65536).partition(b"\r\n")[0]


@pytest.mark.parametrize("gathered", [True, False])
def test_a_slow_upload_in_fewer_pieces(settings: Settings, gathered: bool) -> None:
    counting: list[Counting] = []

    def wrapped(app: ASGIApp) -> ASGIApp:
        counting.append(Counting(app))
        return Gathers(counting[0]) if gathered else counting[0]

    body = encoded(picture())
    size = -(-len(body) // _PIECES)
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    with serving(settings, wrapped=wrapped) as url:
        assert sent(url, pieces, len(body)) == b"HTTP/1.1 200 OK"
    # Half of its time may pass before each: 1.5 ** 10 is about 60.
    assert counting[0].pieces < 18 if gathered else counting[0].pieces > 40


def test_one_that_is_too_slow_is_ended_all_the_same(settings: Settings) -> None:
    limits = settings.limits.model_copy(update={"upload_idle_timeout_s": 0.4})
    own = settings.model_copy(update={"limits": limits})
    with serving(own, wrapped=Gathers) as url:
        assert sent(url, [b"x"] * 40, 1000).startswith(b"HTTP/1.1 408 ")


def pieces_of(
    messages: list[tuple[float, Message]], clock: Callable[[], float] = time.monotonic
) -> list[Message]:
    """What an application gets that reads messages which come after so many seconds each."""
    got: list[Message] = []
    left = iter(messages)

    async def receive() -> Message:
        seconds, message = next(left)
        await asyncio.sleep(seconds)
        return message

    async def app(_: Scope, receive: Receive, __: Send) -> None:
        while not got or (got[-1]["type"] == "http.request" and got[-1]["more_body"]):
            got.append(await receive())

    async def send(_: Message) -> None: ...

    asyncio.run(Gathers(app, clock)({"type": "http", "method": "POST"}, receive, send))
    return got


def piece(body: bytes, more: bool = True) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


def test_what_comes_fast_is_passed_on_as_it_comes() -> None:
    large = [piece(bytes(65_536)), piece(bytes(70_000)), piece(b"end", more=False)]
    assert pieces_of([(0.01, message) for message in large]) == large


def test_the_end_is_not_waited_for() -> None:
    clock = iter((0.0, 60.0))  # what comes after a minute may wait for 4 s
    pieces = [(0, piece(b"a")), (0, piece(b"b")), (0, piece(b"c", more=False))]
    began = time.monotonic()
    assert pieces_of(pieces, lambda: next(clock)) == [piece(b"abc", more=False)]
    assert time.monotonic() - began < 3


def test_a_client_that_leaves_is_told_of_after_what_it_sent() -> None:
    left = {"type": "http.disconnect"}
    got = pieces_of([(0.5, piece(b"a")), (0, piece(b"b")), (0, left)])
    assert got == [piece(b"ab"), left]

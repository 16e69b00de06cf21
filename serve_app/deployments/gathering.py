"""Passing a slow upload on in fewer and larger pieces.

Each piece of a body that Serve's proxy passes to a replica is a call of its own, which costs both
of them about as much as a small request. Hundreds of uploads at a trickle would take the cores
from everybody else with it. So the proxy keeps small pieces until they make a large one, or have
waited for half the time that the upload has taken anyway, 4 s at most. One that comes fast is
passed on as it comes.
"""

import asyncio
import time
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_ENOUGH = 65_536  # bytes; the server holds no more than that itself
_SHARE = 1 / 2  # of an upload's time so far that a piece of it may wait
# Within what the ingress allows for, where limits.upload_idle_timeout_s is 16 or more.
_LONGEST_S = 4.0


class Gathers:
    """ASGI middleware of the proxy: joins the small pieces of a body that comes slowly."""

    def __init__(self, app: ASGIApp, clock: Callable[[], float] = time.monotonic) -> None:
        self._app = app
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] not in ("GET", "HEAD"):
            receive = _Gathering(receive, self._clock)
        await self._app(scope, receive, send)


class _Gathering:
    """What a request's `receive` becomes."""

    def __init__(self, receive: Receive, clock: Callable[[], float]) -> None:
        self._receive = receive
        self._clock = clock
        self._began = clock()
        self._next: Message | None = None  # that came behind a piece, and is none

    async def __call__(self) -> Message:
        if self._next is not None:
            message, self._next = self._next, None
            return message
        first = await self._receive()
        if not _is_small(first):
            return first
        pieces = [first["body"]]
        more = True
        try:
            async with asyncio.timeout(min(_LONGEST_S, _SHARE * (self._clock() - self._began))):
                while more and sum(map(len, pieces)) < _ENOUGH:
                    message = await self._receive()
                    if message["type"] != "http.request":
                        self._next = message
                        break
                    pieces.append(message.get("body", b""))
                    more = message.get("more_body", False)
        except TimeoutError:
            pass
        return {"type": "http.request", "body": b"".join(pieces), "more_body": more}


def _is_small(message: Message) -> bool:
    """Whether it is a piece that is worth waiting for the next one."""
    return bool(
        message["type"] == "http.request"
        and message.get("more_body", False)
        and 0 < len(message.get("body", b"")) < _ENOUGH
    )

"""What Serve's proxy lacks, above all in its first moments: it listens before it knows its routes.

Until it has heard of them from the controller it answers every request with a 404 in plain text. Of
an application that takes every path that is never the truth, so the request is held back.
"""

import asyncio
import time
from collections.abc import Callable

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app.api.problems import problem_response
from serve_app.deployments.shedding import ShedsWhileFull
from serve_app.errors import NotReady

_NO_ROUTES = b"Ping http://.../-/routes"  # how Serve's own 404 ends, and none of ours
_AGAIN_S = 0.05
_RETRY_S = 2


def middleware() -> list[Middleware]:
    """For `RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH`."""
    from serve_app.deployments.metrics import RefusalMetrics  # with all of Ray Serve

    return [Middleware(RoutesFirst), Middleware(ShedsWhileFull, observer_of=RefusalMetrics)]


class RoutesFirst:
    """ASGI middleware: asks again for a moment where the proxy has no routes, then says 503."""

    def __init__(
        self,
        app: ASGIApp,
        timeout_s: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._timeout_s = timeout_s
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        deadline = self._clock() + self._timeout_s
        while True:
            answer = _Answer(send)
            await self._app(scope, receive, answer)
            if not answer.is_unrouted:
                return
            if self._clock() > deadline:
                break
            await asyncio.sleep(_AGAIN_S)
        error = NotReady("the service is starting: try again", _RETRY_S)
        await problem_response(error, "")(scope, receive, send)


class _Answer:
    """Passes an answer on, but for Serve's own 404."""

    def __init__(self, send: Send) -> None:
        self.is_unrouted = False
        self._send = send
        self._start: Message | None = None  # of a 404, until it is known whose it is

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == 404:
            self._start = message
            return
        if self._start is not None:
            if _NO_ROUTES in message.get("body", b""):
                self.is_unrouted = True
            else:
                await self._send(self._start)
            self._start = None
        if not self.is_unrouted:
            await self._send(message)

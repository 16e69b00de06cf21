"""What Serve's proxy lacks, above all in its first moments: it listens before it knows its routes.

Until it has heard of them from the controller it answers every request with a 404 in plain text. Of
an application that takes every path that is never the truth, so the request is held back.
"""

import asyncio
import time
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app.api.problems import problem_response
from serve_app.api.request_log import is_request_id
from serve_app.deployments.gathering import Gathers
from serve_app.deployments.shedding import ShedsWhileFull
from serve_app.errors import NotReady

_NO_ROUTES = b"Ping http://.../-/routes"  # how Serve's own 404 ends, and none of ours
_ROUTES = "/-/routes"
_AGAIN_S = 0.05
_RETRY_S = 2


def middleware() -> list[Middleware]:
    """For `RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH`."""
    from serve_app.deployments.metrics import RefusalMetrics  # with all of Ray Serve

    return [
        Middleware(RoutesFirst),
        Middleware(ShedsWhileFull, observer_of=RefusalMetrics),
        Middleware(Gathers),
        Middleware(OneRequestId),
    ]


class OneRequestId:
    """ASGI middleware: takes off an id that the ingress would not take over.

    Serve's proxy puts on the answer what the client sent, whatever it is, and where it sent nothing
    makes an id that the ingress takes over: the answer and the log are to tell the same one.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = Headers(scope=scope).get("x-request-id") if scope["type"] == "http" else None
        if given is not None and not is_request_id(given):
            kept = [pair for pair in scope["headers"] if pair[0] != b"x-request-id"]
            scope = {**scope, "headers": kept}
        await self._app(scope, receive, send)


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
            await self._until_routed(scope, deadline)
        error = NotReady("the service is starting: try again", _RETRY_S)
        await problem_response(error, "")(scope, receive, send)

    async def _until_routed(self, scope: Scope, deadline: float) -> None:
        """Wait until the proxy knows a route. It logs every 404, but no question for these."""
        asking = {**scope, "method": "GET", "path": _ROUTES, "raw_path": _ROUTES.encode()}
        while self._clock() <= deadline:
            await asyncio.sleep(_AGAIN_S)
            routes = _Routes()
            await self._app(asking, _nothing, routes)
            if routes.are_known:
                return


class _Routes:
    """Takes the answer to a question for the proxy's routes."""

    def __init__(self) -> None:
        self._status = 0
        self._body = b""

    @property
    def are_known(self) -> bool:
        return self._status == 200 and self._body != b"{}"

    async def __call__(self, message: Message) -> None:
        self._status = message.get("status", self._status)
        self._body += message.get("body", b"")


async def _nothing() -> Message:
    return {"type": "http.disconnect"}


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

"""Requests in flight, which the end of the service waits for."""

from starlette.types import ASGIApp, Receive, Scope, Send

from serve_app.drain import Drain


class InFlight:
    """ASGI middleware: counts each request until it is answered, or lets itself be left alone."""

    def __init__(self, app: ASGIApp, drain: Drain) -> None:
        self._app = app
        self._drain = drain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        place = scope.setdefault("state", {})["in_flight"] = Place(self._drain)
        try:
            await self._app(scope, receive, send)
        finally:
            place.leave()


class Place:
    """One request's."""

    def __init__(self, drain: Drain) -> None:
        self._drain: Drain | None = drain
        drain.enter()

    def leave(self) -> None:
        """Nothing waits for this request any more, if anything did."""
        if self._drain is not None:
            self._drain.leave()
            self._drain = None

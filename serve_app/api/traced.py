"""A span for each request, as part of the trace that its client sent."""

import time

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app.tracing import TRACE, Tracer


class Traced:
    """ASGI middleware: continues a `traceparent`, and times how long the upload took."""

    def __init__(self, app: ASGIApp, tracer: Tracer) -> None:
        self._app = app
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        parent = Headers(scope=scope).get("traceparent", "")
        start: float | None = None

        async def receive_timed() -> Message:
            nonlocal start
            start = start or time.perf_counter()
            message = await receive()
            if message["type"] == "http.request" and not message.get("more_body", False):
                took_ms = (time.perf_counter() - start) * 1000
                self._tracer.stages(trace, {"receive": took_ms})
            return message

        # The path alone: a query may hold what must not be stored.
        attributes = {"http.request.method": scope["method"], "url.path": scope["path"]}
        with self._tracer.span("request", parent, attributes) as trace:
            TRACE.set(trace)
            await self._app(scope, receive_timed, send)


def trace_fields() -> dict[str, str]:
    """What the log says of a request's trace."""
    trace = TRACE.get()
    return {"trace_id": trace.split("-")[1]} if trace else {}

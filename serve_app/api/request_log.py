"""A request's id, and its one line in the log."""

import json
import logging
import re
import time
import uuid
from collections.abc import Callable, Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app.api.observer import Observer, route_of
from serve_app.api.problems import internal_error, problem_response
from serve_app.api.traced import trace_fields

# A child of Serve's logger, so that its JSON handlers write these lines too.
logger = logging.getLogger("ray.serve.cvunet")

_CLIENT_LEFT = 499  # for the log alone, as nginx writes it: nobody is there to be answered
_REQUEST_ID = re.compile(r"[\w.:-]{1,128}", re.ASCII)


def is_request_id(text: str) -> bool:
    """Whether a client's id is one that is taken over."""
    return _REQUEST_ID.fullmatch(text) is not None


def log_fields(fields: Mapping[str, object]) -> None:
    """For logs in JSON, as those of replicas are."""
    logger.info("request", extra=fields)


def log_text(fields: Mapping[str, object]) -> None:
    """For logs in plain text, which leave fields out."""
    logger.info("request %s", json.dumps(fields))


class RequestLog:
    """ASGI middleware: gives each request an id, logs one line, and turns a bug into a 500.

    The line never holds image content, keys or query strings. Serve's proxy puts the id on the
    answer itself; without it, `answer_id` does so here.
    """

    def __init__(
        self,
        app: ASGIApp,
        answer_id: bool,
        observer: Observer,
        log: Callable[[Mapping[str, object]], None] = log_fields,
    ) -> None:
        self._app = app
        self._answer_id = answer_id
        self._observer = observer
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if is_request_id(given) else uuid.uuid4().hex
        state = scope.setdefault("state", {})
        state["request_id"] = request_id
        state["log"] = {}
        state["observer"] = self._observer
        prefix = scope.get("root_path", "")
        status = 0
        start = time.perf_counter()

        async def send_noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Content-Type-Options"] = "nosniff"
                if self._answer_id:
                    headers["X-Request-Id"] = request_id
            await send(message)

        try:
            await self._app(scope, receive, send_noting)
        except ClientDisconnect:
            pass
        except Exception:
            logger.exception("request failed", extra={"matting_request_id": request_id})
            if status:  # too late for another answer
                raise
            answer = problem_response(internal_error(request_id), request_id)
            await answer(scope, receive, send_noting)
        finally:
            seconds = time.perf_counter() - start
            route = route_of(scope, prefix)
            status = status or _CLIENT_LEFT  # cancelled, where nothing was raised
            self._observer.answered(route, status, seconds)
            fields = {
                "matting_request_id": request_id,
                "method": scope["method"],
                "path": scope["path"],
                "status": status,
                "total_ms": round(seconds * 1000, 1),
                **state["log"],
                **trace_fields(),
            }
            self._log(fields)

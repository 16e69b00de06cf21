"""Errors in rembg's shapes: `{"detail": ...}`, whatever it is."""

import logging
from typing import Any

from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from serve_app.api.cross_origin import CrossOrigin
from serve_app.api.observer import refuse
from serve_app.api.problems import internal_error
from serve_app.errors import (
    DownloadFailed,
    DownloadTimeout,
    InvalidOption,
    MattingError,
    RetryLater,
)

logger = logging.getLogger("ray.serve.cvunet")


class Invalid(Exception):
    """Parameters that rembg's own server answers with 422."""

    def __init__(self, problems: list[dict[str, Any]]) -> None:
        super().__init__(problems)
        self.problems = problems


def mounted(routes: list[Route]) -> Mount:
    """All below `/api`, so that even an unknown path there answers in rembg's shape."""
    handlers = {
        Invalid: _handle_invalid,
        MattingError: _handle_matting_error,
        HTTPException: _handle_http_exception,
        Exception: _handle_bug,
    }
    middleware = [Middleware(CrossOrigin), Middleware(ExceptionMiddleware, handlers=handlers)]
    return Mount("/api", routes=routes, middleware=middleware)


async def _handle_invalid(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, Invalid)  # noqa: S101
    request.state.observer.refused(InvalidOption.code)
    return JSONResponse({"detail": exc.problems}, 422)


async def _handle_matting_error(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, MattingError)  # noqa: S101
    refuse(request, exc)
    status = 400 if isinstance(exc, DownloadFailed | DownloadTimeout) else exc.status
    headers = {"Retry-After": str(exc.retry_after)} if isinstance(exc, RetryLater) else {}
    return JSONResponse({"detail": exc.detail}, status, headers)


async def _handle_http_exception(_: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)  # noqa: S101
    return JSONResponse({"detail": exc.detail}, exc.status_code, exc.headers)


async def _handle_bug(request: Request, exc: Exception) -> Response:
    if isinstance(exc, ClientDisconnect):
        raise exc
    request_id = request.state.request_id
    logger.error("request failed", exc_info=exc, extra={"matting_request_id": request_id})
    return JSONResponse({"detail": internal_error(request_id).detail}, 500)

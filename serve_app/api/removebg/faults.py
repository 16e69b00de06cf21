"""Errors in remove.bg's shape: `{"errors": [{"title", "code", "detail"}]}`, never an empty list."""

import logging

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
    AuthFailed,
    FileTooLarge,
    ImageTooLarge,
    InputError,
    InvalidImage,
    InvalidOption,
    InvalidRoi,
    MattingError,
    MissingImage,
    RateLimited,
    RetryLater,
    SideTooLong,
    UnsupportedFormat,
)

logger = logging.getLogger("ray.serve.cvunet")

_CODES: tuple[tuple[type[MattingError], str], ...] = (  # the most special first
    (MissingImage, "missing_source"),
    (InvalidImage, "failed_to_read_image"),
    (UnsupportedFormat, "invalid_file_type"),
    (FileTooLarge, "file_too_large"),
    (SideTooLong, "invalid_dimensions"),
    (ImageTooLarge, "resolution_too_high"),
    (InvalidOption, "invalid_format"),  # every other option is checked before: sides of a format
)


class Fault(InputError):
    """An error that only this surface knows, under the code that its clients expect."""

    def __init__(self, code: str, title: str, detail: str) -> None:
        super().__init__(detail)
        self.wire_code = code
        self.wire_title = title


def mounted(routes: list[Route]) -> Mount:
    """All below `/v1.0`, so that even an unknown path there answers in remove.bg's shape."""
    handlers = {
        MattingError: handle_matting_error,
        HTTPException: handle_http_exception,
        Exception: handle_bug,
    }
    middleware = [Middleware(CrossOrigin), Middleware(ExceptionMiddleware, handlers=handlers)]
    return Mount("/v1.0", routes=routes, middleware=middleware)


def fault_response(error: MattingError) -> Response:
    """Write any of our errors the way a remove.bg client reads it."""
    if isinstance(error, AuthFailed):
        return _response(403, {"title": "API Key invalid", "code": "auth_failed"})
    status, code, title = error.status, error.code, error.title
    if isinstance(error, Fault):
        code, title = error.wire_code, error.wire_title
    elif isinstance(error, InvalidRoi):
        code, status = ("roi_region_empty" if error.empty else "roi_exceeds_bounds"), 400
    elif isinstance(error, RateLimited):
        code, title = "rate_limit_exceeded", "Rate limit exceeded"
    else:
        known = next((name for cls, name in _CODES if isinstance(error, cls)), None)
        if known is not None:
            code, status = known, 400
    after = error.retry_after if isinstance(error, RetryLater) else None
    return _response(status, {"title": title, "code": code, "detail": error.detail}, after)


async def handle_matting_error(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, MattingError)  # noqa: S101
    refuse(request, exc)
    response = fault_response(exc)
    if hasattr(request.state, "allowance"):
        response.headers.update(request.state.allowance.headers)
    return response


async def handle_http_exception(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)  # noqa: S101
    detail = f"{request.method} {request.url.path}: {exc.detail}"
    response = _response(
        exc.status_code, {"title": "Invalid request", "code": "invalid_request", "detail": detail}
    )
    response.headers.update(exc.headers or {})
    return response


async def handle_bug(request: Request, exc: Exception) -> Response:
    """What nobody foresaw; the log has its cause."""
    if isinstance(exc, ClientDisconnect):
        raise exc
    request_id = request.state.request_id
    logger.error("request failed", exc_info=exc, extra={"matting_request_id": request_id})
    return fault_response(internal_error(request_id))


def _response(status: int, error: dict[str, str], retry_after: int | None = None) -> Response:
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return JSONResponse({"errors": [error]}, status, headers)

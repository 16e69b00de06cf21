"""Errors on the wire: `application/problem+json` (RFC 9457)."""

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from serve_app.api.observer import refuse
from serve_app.errors import InternalError, MattingError, RetryLater

_CODES = {404: "not_found", 405: "method_not_allowed"}


def problem_response(error: MattingError, request_id: str) -> Response:
    """Write an error of ours: its `detail` is public by contract."""
    headers = {}
    if isinstance(error, RetryLater):
        headers["Retry-After"] = str(error.retry_after)
    return _problem(error.status, error.code, error.title, error.detail, request_id, headers)


def internal_error(request_id: str) -> InternalError:
    """An error that nobody foresaw: its cause is in the log, under the same request id."""
    return InternalError(f"The service failed on this request; its log has the cause: {request_id}")


async def handle_matting_error(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, MattingError)  # noqa: S101
    refuse(request, exc)
    return problem_response(exc, request.state.request_id)


async def handle_http_exception(request: Request, exc: Exception) -> Response:
    """Starlette's own refusals: no such route, wrong method, a multipart body that is broken."""
    assert isinstance(exc, HTTPException)  # noqa: S101
    code = _CODES.get(exc.status_code, "invalid_request")
    where = f"{request.method} {request.url.path}"
    detail = f"{where}: {exc.detail}. GET /docs lists what there is"
    headers = dict(exc.headers or {})
    return _problem(
        exc.status_code, code, "Invalid request", detail, request.state.request_id, headers
    )


def _problem(
    status: int, code: str, title: str, detail: str, request_id: str, headers: dict[str, str]
) -> Response:
    body = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": request_id,
    }
    return JSONResponse(body, status, headers, media_type="application/problem+json")

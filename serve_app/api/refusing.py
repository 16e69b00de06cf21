"""The answers of a service that is full, without the service: for what stands before it."""

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from serve_app.api import rembg_faults
from serve_app.api.observer import Observer
from serve_app.api.problems import handle_matting_error
from serve_app.api.removebg import faults
from serve_app.api.request_log import RequestLog, log_text
from serve_app.errors import MattingError

PATHS = ("/v1/matting", "/v1.0/removebg", "/api/remove")
"""Where a POST is one image, which a full service refuses before it reads it."""


def refusing_api(observer: Observer) -> Starlette:
    """Answer a POST to any of `PATHS` with the error in its `state.refusal`.

    The same code as in the service writes it, in the surface's own shape; it is logged and told to
    the observer as any other answer is. Serve's proxy, unlike its replicas, logs in plain text.
    """

    async def refuse(request: Request) -> Response:
        raise request.state.refusal

    return Starlette(
        routes=[
            Route("/v1/matting", refuse, methods=["POST"]),
            faults.mounted([Route("/removebg", refuse, methods=["POST"])]),
            rembg_faults.mounted([Route("/remove", refuse, methods=["POST"])]),
        ],
        exception_handlers={MattingError: handle_matting_error},
        middleware=[Middleware(RequestLog, answer_id=True, observer=observer, log=log_text)],
    )

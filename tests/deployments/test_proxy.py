"""Before Serve's proxy knows its routes, and after."""

import asyncio

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from serve_app.deployments.proxy import OneRequestId, RoutesFirst

_SERVES = "Path '/v1/matting' not found. Ping http://.../-/routes for available routes."

LOGGED: list[str] = []  # as Serve's proxy does: all but what asks for its routes


def application(unrouted: int) -> Starlette:
    """Answers as Serve's proxy does so many times, then as the service."""
    left = iter(range(unrouted))

    async def answer(request: Request) -> Response:
        routed = next(left, None) is None
        if request.url.path == "/-/routes":
            return JSONResponse({"/": "matting"} if routed else {})
        LOGGED.append(request.url.path)
        if not routed:
            return PlainTextResponse(_SERVES, 404)
        if request.url.path == "/none":
            return JSONResponse({"code": "not_found"}, 404)
        return Response(await request.body())

    return Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST"])])


def ask(unrouted: int, path: str = "/v1/matting", timeout_s: float = 5) -> httpx.Response:
    LOGGED.clear()
    app = RoutesFirst(application(unrouted), timeout_s)

    async def post() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.post(path, content=b"a photo")

    return asyncio.run(post())


@pytest.mark.parametrize(("unrouted", "passed"), [(0, 1), (3, 2)])
def test_a_request_waits_for_the_routes(unrouted: int, passed: int) -> None:
    answer = ask(unrouted)
    assert (answer.status_code, answer.content) == (200, b"a photo")
    assert len(LOGGED) == passed


def test_a_404_of_the_services_own_passes() -> None:
    answer = ask(1, "/none")
    assert (answer.status_code, answer.json()) == (404, {"code": "not_found"})


def test_without_routes_for_long_it_is_not_ready() -> None:
    answer = ask(1000, timeout_s=0.2)
    assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
    assert answer.headers["retry-after"] == "2"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Ray Serve's of itself
@pytest.mark.parametrize(("given", "kept"), [("mine-1", True), ("a b", False), ("a" * 200, False)])
def test_the_answer_and_the_ingress_have_one_request_id(given: str, kept: bool) -> None:
    from ray.serve._private.http_util import RequestIdMiddleware

    async def tell(request: Request) -> Response:
        return PlainTextResponse(request.headers["x-request-id"])

    # The last of the proxy's middleware stands before all others, Serve's own being the first.
    app = OneRequestId(RequestIdMiddleware(Starlette(routes=[Route("/", tell)])))

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.get("/", headers={"X-Request-Id": given})

    answer = asyncio.run(ask())
    assert answer.headers.get_list("x-request-id") == [answer.text]
    assert (answer.text == given) is kept

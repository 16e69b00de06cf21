"""The HTTP application: plain starlette over any `Matting`, so that it runs without Ray too."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from serve_app.api.access import Access
from serve_app.api.admission import Admission, Admitting, UploadAdmission
from serve_app.api.in_flight import InFlight
from serve_app.api.jobs.routes import JobRoutes
from serve_app.api.observer import SILENT, Observer
from serve_app.api.openapi import openapi_routes
from serve_app.api.page import page_routes
from serve_app.api.problems import handle_http_exception, handle_matting_error
from serve_app.api.rembg import RembgRoutes
from serve_app.api.remote import Remote
from serve_app.api.removebg.surface import RemovebgRoutes
from serve_app.api.request_log import RequestLog
from serve_app.api.routes import NativeRoutes, Presets
from serve_app.api.service import Matting
from serve_app.api.traced import Traced
from serve_app.drain import Drain
from serve_app.errors import MattingError
from serve_app.settings import Settings
from serve_app.tracing import OFF, Tracer


def build_api(
    matting: Matting,
    settings: Settings,
    presets: Presets,
    *,
    behind_proxy: bool = False,
    observer: Observer = SILENT,
    tracer: Tracer = OFF,
) -> Starlette:
    """Put the routes, the errors and the log together.

    `behind_proxy` says that Serve's proxy puts the request id on the answer; `observer` hears of
    every answer.
    """
    drain = Drain(Path(settings.drain.file) if settings.drain.file else None)
    access = Access(settings.access, drain=drain)
    admission = Admission(settings.limits)
    matting = Admitting(matting, admission, settings.limits)
    remote = Remote(settings.remote, settings.limits.max_bytes)
    jobs = JobRoutes(matting, settings, presets, access, remote)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        jobs.runner.start()
        yield
        await jobs.runner.stop()

    return Starlette(
        lifespan=lifespan,
        routes=[
            *page_routes(),
            *openapi_routes(settings, presets),
            *NativeRoutes(matting, settings, presets, access, drain).routes(),
            *jobs.routes(),
            RemovebgRoutes(matting, settings, presets, access, remote).mount(),
            RembgRoutes(matting, settings, presets, access, remote).mount(),
        ],
        exception_handlers={
            MattingError: handle_matting_error,
            HTTPException: handle_http_exception,
        },
        middleware=[
            Middleware(Traced, tracer=tracer),
            Middleware(RequestLog, answer_id=not behind_proxy, observer=observer),
            Middleware(InFlight, drain=drain),
            Middleware(UploadAdmission, admission=admission),
        ],
    )

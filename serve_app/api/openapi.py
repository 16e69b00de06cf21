"""The OpenAPI 3.1 document, made from the models that check the requests.

`OPERATIONS` of each module is the table of routes; a test holds it against the application's own.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

import serve_app
from serve_app.api import openapi_jobs, openapi_native, openapi_rembg, openapi_removebg
from serve_app.api.docs import CONTENT_SECURITY_POLICY, docs_page
from serve_app.api.openapi_parts import Schema
from serve_app.settings import Settings

_SECURITY_SCHEMES = {
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "bearer": {"type": "http", "scheme": "bearer"},
}
_SURFACES = (openapi_native, openapi_jobs, openapi_removebg, openapi_rembg)


def document(settings: Settings, presets: Iterable[str]) -> Schema:
    """Describe every route; keys are asked for where the settings have any."""
    operations = [
        *openapi_native.operations(list(presets)),
        *openapi_jobs.operations(list(presets)),
        *openapi_removebg.operations(),
        *openapi_rembg.operations(),
    ]
    paths: dict[str, Schema] = {}
    guarded = bool(settings.access.key_hashes)
    for operation in operations:
        described = dict(operation.described)
        if operation.guarded:
            described["security"] = [{"key": []}, {"bearer": []}] if guarded else []
        paths.setdefault(operation.path, {})[operation.method] = described
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "cvunet-serve",
            "version": serve_app.__version__,
            "summary": "Background removal and image matting",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [surface.TAG for surface in _SURFACES],
        "paths": paths,
        "components": {
            "schemas": _schemas(),
            "securitySchemes": _SECURITY_SCHEMES,
        },
    }


def openapi_routes(settings: Settings, presets: Mapping[str, object]) -> list[BaseRoute]:
    """`/openapi.json` and `/docs`, both made once."""
    described = document(settings, presets)
    html = docs_page(described)

    async def openapi(_: Request) -> Response:
        return JSONResponse(described)

    async def docs(_: Request) -> Response:
        return HTMLResponse(html, headers={"Content-Security-Policy": CONTENT_SECURITY_POLICY})

    return [Route("/openapi.json", openapi), Route("/docs", docs)]


def _schemas() -> dict[str, Any]:
    return {name: schema for surface in _SURFACES for name, schema in surface.SCHEMAS.items()}

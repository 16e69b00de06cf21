"""The routes of remove.bg v1.0."""

import base64
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from serve_app.api.access import Access, Allowance
from serve_app.api.negotiation import prefers_json
from serve_app.api.receiving import too_large, while_connected
from serve_app.api.remote import Remote
from serve_app.api.removebg.faults import Fault, mounted
from serve_app.api.removebg.parameters import Translation, translate
from serve_app.api.removebg.reading import MAX_BYTES, read_call, read_upload
from serve_app.api.routes import result_fields, result_headers
from serve_app.api.service import Matting
from serve_app.options import Options, resolve_options
from serve_app.settings import Settings
from serve_app.types import Result, Size

Presets = Mapping[str, Mapping[str, Any]]

# A client splats `attributes` into keyword arguments: no key may be added.
_ACCOUNT = {
    "data": {
        "attributes": {
            "credits": {"total": 0, "subscription": 0, "payg": 0, "enterprise": 0},
            "api": {"free_calls": 0, "sizes": "all"},
        }
    }
}


class RemovebgRoutes:
    """Handlers that share one service and its settings."""

    def __init__(
        self,
        matting: Matting,
        settings: Settings,
        presets: Presets,
        access: Access,
        remote: Remote,
    ) -> None:
        self._matting = matting
        self._limits = settings.limits
        self._max_bytes = min(MAX_BYTES, settings.limits.max_bytes)
        self._presets = presets
        self._access = access
        self._remote = remote

    def mount(self) -> Mount:
        return mounted(
            [Route("/removebg", self.remove, methods=["POST"]), Route("/account", self.account)]
        )

    async def account(self, request: Request) -> Response:
        self._access.check_key(request)
        return JSONResponse(_ACCOUNT)

    async def remove(self, request: Request) -> Response:
        allowance = self._access.admit(request)
        call = await read_call(request, self._max_bytes, self._limits)
        asked = translate(call.fields, call.has("bg_image_file") or call.has("bg_image_url"))
        upload = await read_upload(call, self._remote)
        if len(upload.image) > self._max_bytes:  # in base64 or behind a URL
            raise too_large(len(upload.image), self._max_bytes)
        options = resolve_options(
            asked.options, self._presets, has_background_image=upload.background_image is not None
        )
        result = await while_connected(request, self._matting.matte(upload, options))
        if not result.foreground.width:
            raise Fault(
                "unknown_foreground",
                "Could not identify foreground in image",
                "nothing in the image stands out as its subject: send one with a clear subject",
            )
        request.state.log.update(result_fields(result))
        headers = _headers(result, asked, allowance)
        if prefers_json(request.headers.get("accept", "")):
            return JSONResponse(_envelope(result), headers=headers)
        return Response(result.body, media_type=result.media_type, headers=headers)


def _headers(result: Result, asked: Translation, allowance: Allowance) -> dict[str, str]:
    largest = _largest(result.original, asked.largest)
    headers = {
        **result_headers(result),
        "X-Width": str(result.size[1]),
        "X-Height": str(result.size[0]),
        "X-Max-Width": str(largest[1]),
        "X-Max-Height": str(largest[0]),
        "X-Credits-Charged": "0",
        **allowance.headers,
    }
    return headers if asked.type is None else {**headers, "X-Type": asked.type}


def _largest(original: Size, megapixels: float) -> Size:
    """The size of a full-size answer."""
    return Options(size=f"{megapixels:g}mp").output_size(original, original)


def _envelope(result: Result) -> dict[str, object]:
    box = result.foreground
    return {
        "data": {
            "result_b64": base64.b64encode(result.body).decode("ascii"),
            "foreground_top": box.top,
            "foreground_left": box.left,
            "foreground_width": box.width,
            "foreground_height": box.height,
        }
    }

"""The native routes."""

from collections.abc import Mapping
from typing import Any, get_args

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from serve_app.api.access import Access
from serve_app.api.batch import BatchAnswer
from serve_app.api.batch_form import BatchForm
from serve_app.api.negotiation import preferred_format
from serve_app.api.reading import read_matting_request
from serve_app.api.receiving import while_connected
from serve_app.api.service import Matting
from serve_app.drain import Drain
from serve_app.imaging.sniff import Format
from serve_app.options import DEFAULT_PRESET, resolve_options
from serve_app.settings import Settings
from serve_app.types import Result

Presets = Mapping[str, Mapping[str, Any]]

STAGES = ("decode", "queue", "infer", "post", "encode")


class NativeRoutes:
    """Handlers that share one service, its settings and its presets."""

    def __init__(
        self, matting: Matting, settings: Settings, presets: Presets, access: Access, drain: Drain
    ) -> None:
        self._drain = drain
        self._access = access
        self._matting = matting
        self._settings = settings
        self._presets = presets

    def routes(self) -> list[Route]:
        return [
            Route("/v1/matting", self.matte, methods=["POST"]),
            Route("/v1/matting/batch", self.batch, methods=["POST"]),
            Route("/v1/presets", self.presets),
            Route("/v1/models", self.models),
            Route("/v1/limits", self.limits),
            Route("/healthz", self.healthz),
            Route("/readyz", self.readyz),
        ]

    async def matte(self, request: Request) -> Response:
        """One image in, one image out."""
        self._access.admit(request)
        upload, given = await read_matting_request(request, self._settings.limits)
        options = resolve_options(
            given, self._presets, has_background_image=upload.background_image is not None
        )
        if options.format == "auto":
            accepted = preferred_format(request.headers.get("accept", ""))
            options = options.model_copy(update={"format": accepted})
        result = await while_connected(request, self._matting.matte(upload, options))
        request.state.log.update(result_fields(result))
        return Response(result.body, media_type=result.media_type, headers=result_headers(result))

    async def batch(self, request: Request) -> Response:
        """Many images in, one ZIP out while they are still coming."""
        self._access.admit(request)
        limits = self._settings.limits
        form = BatchForm(request.query_params.multi_items(), self._presets, limits)
        return BatchAnswer(request, form, self._matting, limits)

    async def presets(self, _: Request) -> Response:
        presets = {
            name: resolve_options({"preset": name}, self._presets).model_dump()
            for name in self._presets
        }
        return JSONResponse({"default": DEFAULT_PRESET, "presets": presets})

    async def models(self, _: Request) -> Response:
        info = await self._matting.describe()
        model = {
            "name": info.name,
            "version": info.version,
            "sha256": info.sha256,
            "engine": info.engine,
            "device": info.device,
            "precision": info.precision,
            "reason": info.reason,
        }
        return JSONResponse({"models": [model]})

    async def limits(self, _: Request) -> Response:
        limits = self._settings.limits.model_dump()
        return JSONResponse({**limits, "formats": list(get_args(Format))})

    async def healthz(self, _: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz(self, _: Request) -> Response:
        """Ready only with weights loaded and warm: `describe` raises NotReady until then."""
        self._drain.check()
        await self._matting.describe()
        return JSONResponse({"status": "ready"})


def result_headers(result: Result) -> dict[str, str]:
    """What an answer says about itself."""
    timings = ", ".join(
        f"{stage};dur={result.timings[stage]:.1f}" for stage in STAGES if stage in result.timings
    )
    return {
        "Server-Timing": timings,
        "X-Model": result.model,
        "X-Batch-Size": str(result.batch_size),
        "X-Foreground-Top": str(result.foreground.top),
        "X-Foreground-Left": str(result.foreground.left),
        "X-Foreground-Width": str(result.foreground.width),
        "X-Foreground-Height": str(result.foreground.height),
        "Vary": "Accept",
    }


def result_fields(result: Result) -> dict[str, object]:
    """What the log says about an answer."""
    return {
        "size": f"{result.size[1]}x{result.size[0]}",
        "batch_size": result.batch_size,
        "output_bytes": len(result.body),
        "stages_ms": {stage: round(ms, 1) for stage, ms in result.timings.items()},
    }

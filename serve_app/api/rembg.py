"""The HTTP surface of rembg 2.x: `/api/remove`, its parameters and its error shapes.

rembg's models and trimap thresholds have no counterpart here: they are checked and accepted, so
that clients work, and one network answers.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from serve_app.api.access import Access
from serve_app.api.parts import read_form
from serve_app.api.receiving import receive_body, too_large, while_connected
from serve_app.api.rembg_faults import Invalid, mounted
from serve_app.api.remote import Remote
from serve_app.api.routes import result_fields, result_headers
from serve_app.api.service import Matting
from serve_app.options import resolve_options
from serve_app.settings import Settings
from serve_app.types import Upload

Presets = Mapping[str, Mapping[str, Any]]

MODELS = (
    "u2net|u2netp|u2net_human_seg|u2net_cloth_seg|u2net_custom|silueta|isnet-general-use|"
    "isnet-anime|sam|birefnet-general|birefnet-general-lite|birefnet-portrait|birefnet-dis|"
    "birefnet-hrsod|birefnet-cod|birefnet-massive|ben2-base|ben_custom|bria-rmbg|dis_custom"
)

QUERY_ALWAYS = ("bgc", "extras")  # query parameters on POST too
_BYTE = "(25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])"
_OVERHEAD = 1_000_000  # bytes of a form that are not the file


def _color(value: object) -> object:
    parts = [part.strip() for part in str(value).split(",")]
    if len(parts) not in (3, 4) or not all(p.isdecimal() and int(p) <= 255 for p in parts):
        raise ValueError("must be r,g,b,a, each from 0 to 255")
    return ",".join(parts)


class Parameters(BaseModel):
    """rembg's parameters under its own names."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    model: str = Field("u2net", pattern=f"^({MODELS})$", description="accepted, has no effect")
    a: bool = Field(False, description="alpha matting: every hair, and the true edge colour")
    af: int = Field(240, ge=0, le=255, description="foreground threshold; has no effect")
    ab: int = Field(10, ge=0, le=255, description="background threshold; has no effect")
    ae: int = Field(10, ge=0, description="erosion of the trimap; has no effect")
    om: bool = Field(False, description="only the mask")
    ppm: bool = Field(False, description="cleans the mask: faint and translucent areas go")
    dc: bool = Field(False, description="removes the old background's colour from the edge")
    vm: bool = Field(False, description="accepted, has no effect")
    bgc: Annotated[str, BeforeValidator(_color)] = Field(
        "",
        description="background colour r,g,b,a, each 0-255",
        json_schema_extra={"pattern": f"^{_BYTE}(,{_BYTE}){{2,3}}$"},
    )
    extras: str = Field("", description="accepted, has no effect")

    def native(self) -> dict[str, object]:
        """The same in the native API's options."""
        options: dict[str, object] = {
            "format": "png",
            "decontaminate": self.a or self.dc,
            "output": "alpha" if self.om else "",
        }
        if self.a:
            options |= {"alpha_threshold": 2, "refine": "guided"}
        if self.bgc:
            parts = [int(part) for part in self.bgc.split(",")]
            options["background"] = "#" + "".join(f"{part:02x}" for part in parts)
        if self.ppm:
            options |= {"alpha_threshold": 50, "semitransparency": False}
        return options


class RembgRoutes:
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
        self._presets = presets
        self._access = access
        self._remote = remote

    def mount(self) -> Mount:
        return mounted([Route("/remove", self.remove, methods=["GET", "POST"])])

    async def remove(self, request: Request) -> Response:
        self._access.admit(request)
        if request.method == "POST":
            return await self._remove_file(request)
        return await self._remove_url(request)

    async def _remove_url(self, request: Request) -> Response:
        query = dict(request.query_params)
        parameters = _parse(query, dict.fromkeys(query, "query"))
        if not query.get("url"):
            raise _missing("query", "url")
        return await self._answer(request, await self._remote.fetch(query["url"]), parameters)

    async def _remove_file(self, request: Request) -> Response:
        values = {k: v for k, v in request.query_params.items() if k in QUERY_ALWAYS}
        places = dict.fromkeys(values, "query")
        content_type = request.headers.get("content-type", "")
        parts = []
        if content_type.lower().startswith("multipart/form-data"):  # as all media types
            pieces = receive_body(request, self._limits.max_bytes + _OVERHEAD, self._limits)
            parts = await read_form(content_type, pieces, self._limits.max_bytes)
        fields = {p.name: p.text for p in parts if not p.is_file and p.name not in QUERY_ALWAYS}
        parameters = _parse({**values, **fields}, {**dict.fromkeys(fields, "body"), **places})
        file = next((part for part in parts if part.is_file and part.name == "file"), None)
        if file is None:
            raise _missing("body", "file")
        if file.size > self._limits.max_bytes:
            raise too_large(file.size, self._limits.max_bytes)
        return await self._answer(request, file.data, parameters)

    async def _answer(self, request: Request, data: bytes, parameters: Parameters) -> Response:
        options = resolve_options(parameters.native(), self._presets)
        result = await while_connected(request, self._matting.matte(Upload(data), options))
        request.state.log.update(result_fields(result))
        return Response(result.body, media_type=result.media_type, headers=result_headers(result))


def _parse(values: Mapping[str, str], places: Mapping[str, str]) -> Parameters:
    """Check the parameters; an empty string counts as not given."""
    try:
        return Parameters.model_validate({k: v for k, v in values.items() if v})
    except ValidationError as exc:
        problems = exc.errors(include_url=False, include_context=False)
        raise Invalid(
            [{**p, "loc": [places.get(str(p["loc"][0]), "body"), *p["loc"]]} for p in problems]
        ) from exc


def _missing(place: str, name: str) -> Invalid:
    problem = {"type": "missing", "loc": [place, name], "msg": "Field required", "input": None}
    return Invalid([problem])

"""What the native routes look like from outside."""

from typing import Any, get_args

from serve_app.api.negotiation import ImageFormat
from serve_app.api.openapi_parts import (
    FILE,
    Operation,
    Schema,
    answer,
    errors,
    headers,
    or_empty,
    query,
    reference,
)
from serve_app.imaging.sniff import ACCEPTED
from serve_app.options import DEFAULT_PRESET, Options
from serve_app.postprocess import MEDIA_TYPES

TAG = {"name": "Native", "description": "The service's own API."}

_INPUT_ERRORS = {
    400: "missing_image, multiple_images, invalid_image, invalid_option, invalid_request",
    403: "auth_failed, only where keys are configured",
    408: "upload_timeout",
    413: "file_too_large, image_too_large",
    415: "unsupported_format",
    429: "rate_limited",
}
_SERVICE_ERRORS = {503: "overloaded, not_ready, out_of_memory", 504: "timeout"}
_BATCH_ERRORS = {507: "storage_full"}

_TEXT: Schema = {"type": "string"}
_COUNT: Schema = {"type": "integer", "minimum": 0}


def _object(properties: dict[str, Any], **more: Any) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties), **more}


SCHEMAS: dict[str, Schema] = {
    "Problem": _object(
        {
            "type": _TEXT,
            "title": _TEXT,
            "status": {"type": "integer"},
            "detail": {**_TEXT, "description": "the value, the rule and the remedy"},
            "code": _TEXT,
            "request_id": _TEXT,
        },
        description="RFC 9457",
    ),
    "Options": Options.model_json_schema(),
    "Manifest": {
        "type": "object",
        "description": "manifest.json, the last entry of a batch's ZIP",
        "properties": {
            "request_id": _TEXT,
            "files": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["name", "output", "status"],
                    "properties": {
                        "name": _TEXT,
                        "output": {"type": ["string", "null"]},
                        "status": {"enum": ["done", "failed"]},
                        "bytes": _COUNT,
                        "width": _COUNT,
                        "height": _COUNT,
                        "code": _TEXT,
                        "detail": _TEXT,
                    },
                },
            },
            "error": {**_object({"code": _TEXT, "detail": _TEXT}), "description": "what ended it"},
        },
        "required": ["request_id", "files"],
    },
}

_FOREGROUND = "of the subject within the image, px"
_ANSWER_HEADERS = headers(
    X_Request_Id="the request's, or a new one",
    X_Model="what predicted the alpha",
    X_Batch_Size="how many images shared the network's run",
    Server_Timing="decode, queue, infer, post, encode in ms",
    X_Foreground_Top=_FOREGROUND,
    X_Foreground_Left=_FOREGROUND,
    X_Foreground_Width=_FOREGROUND,
    X_Foreground_Height=_FOREGROUND,
)


def operations(presets: list[str]) -> list[Operation]:
    """The native routes, with the presets that this service knows."""
    options = options_of(presets)
    return [
        Operation("/v1/matting", "post", _matting(options), guarded=True),
        Operation("/v1/matting/batch", "post", _batch(options), guarded=True),
        _get("/v1/presets", "The presets, with every value", _PRESETS),
        _get("/v1/models", "The network that answers", _MODELS, service_errors=True),
        _get("/v1/limits", "What a request may be, and the accepted formats", _LIMITS),
        _get("/healthz", "The process is up", _STATUS),
        _get("/readyz", "A network is loaded and warm", _STATUS, service_errors=True),
        _get("/openapi.json", "This document", {"type": "object"}),
        Operation("/docs", "get", _page("This document, to read")),
        Operation("/", "get", _page("The web page")),
    ]


def options_of(presets: list[str]) -> dict[str, Schema]:
    """Every option as a field or a query parameter."""
    preset = {
        "type": "string",
        "enum": presets,
        "default": DEFAULT_PRESET,
        "description": "a named set of the options below; an option given beside it wins",
    }
    own: dict[str, Schema] = Options.model_json_schema()["properties"]
    # A preset decides most of them, so no default is true for every request.
    plain = {k: {n: v for n, v in s.items() if n != "default"} for k, s in own.items()}
    return {name: or_empty(schema) for name, schema in {"preset": preset, **plain}.items()}


def _matting(options: dict[str, Schema]) -> Schema:
    files = {
        "image": {**FILE, "description": f"{ACCEPTED}, by content"},
        "background_image": {**FILE, "description": "behind the subject: covering and centred"},
        "trimap": {
            **FILE,
            "description": "0 background, 255 foreground, anything else unknown; with "
            "refine=guided unknown ones are solved from the colours around, too",
        },
    }
    ok = answer("The image", *(MEDIA_TYPES[name] for name in get_args(ImageFormat)))
    return {
        "tags": ["Native"],
        "operationId": "matte",
        "summary": "One image in, one image out",
        "description": "Options are fields of the form or query parameters, each given once. An "
        "empty string means 'not given'; an unknown option is refused.",
        "parameters": query(options),
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {"schema": form({**files, **options}, ["image"])},
                "application/octet-stream": {"schema": FILE},
                "image/*": {"schema": FILE},
            },
        },
        "responses": {"200": {**ok, "headers": _ANSWER_HEADERS}, **_problems(_INPUT_ERRORS)},
    }


def _batch(options: dict[str, Schema]) -> Schema:
    fields = {
        **options,
        "background_image": {**FILE, "description": "behind every subject"},
        "image": {"type": "array", "items": FILE, "minItems": 1, "description": "repeated"},
    }
    return {
        "tags": ["Native"],
        "operationId": "matteBatch",
        "summary": "Many images in, one ZIP out",
        "description": "The ZIP is streamed while later images are still being sent: entries in "
        "the order of the upload, then manifest.json. A file that fails stands in the manifest "
        "and stops nothing. Options come before the first image, or in the query.",
        "parameters": query(options),
        "requestBody": {
            "required": True,
            "content": {"multipart/form-data": {"schema": form(fields, ["image"])}},
        },
        "responses": {
            "200": answer("The ZIP", "application/zip"),
            **_problems({**_INPUT_ERRORS, **_BATCH_ERRORS}),
        },
    }


def form(properties: dict[str, Schema], required: list[str]) -> Schema:
    """A form of these fields and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def _problems(cases: dict[int, str]) -> dict[str, Schema]:
    return errors({**cases, **_SERVICE_ERRORS}, "application/problem+json", reference("Problem"))


def _get(path: str, summary: str, schema: Schema, service_errors: bool = False) -> Operation:
    responses = {"200": answer(summary, "application/json", schema=schema)}
    if service_errors:
        responses |= errors({503: "not_ready"}, "application/problem+json", reference("Problem"))
    return Operation(path, "get", {"tags": ["Native"], "summary": summary, "responses": responses})


def _page(summary: str) -> Schema:
    html = answer(summary, "text/html", schema={"type": "string"})
    return {"tags": ["Native"], "summary": summary, "responses": {"200": html}}


_STATUS = _object({"status": _TEXT})
_PRESETS = _object(
    {
        "default": _TEXT,
        "presets": {"type": "object", "additionalProperties": reference("Options")},
    }
)
_MODEL = _object(
    dict.fromkeys(("name", "version", "sha256", "engine", "device", "precision", "reason"), _TEXT)
)
_MODELS = _object({"models": {"type": "array", "items": _MODEL}})
_LIMITS: Schema = {
    "type": "object",
    "properties": {"formats": {"type": "array", "items": _TEXT}},
    "additionalProperties": {"type": "number"},
    "required": ["formats"],
}

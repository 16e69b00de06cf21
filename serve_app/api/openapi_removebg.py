"""What the remove.bg surface looks like from outside."""

from serve_app.api.openapi_parts import (
    FILE,
    Operation,
    Schema,
    answer,
    errors,
    headers,
    or_empty,
    reference,
)
from serve_app.api.removebg.parameters import FORMATS, SHADOWS, SIZES, TYPES

TAG = {"name": "remove.bg", "description": "The API of remove.bg v1.0, for its clients."}

_LENGTH = r"(0|[0-9]+(\.[0-9]+)?(px|%))"
_PERCENT = r"[0-9]{1,3}(\.[0-9]+)?%"

_TEXT: Schema = {"type": "string"}
_NUMBER: Schema = {"type": "integer"}

SCHEMAS: dict[str, Schema] = {
    "RemovebgErrors": {
        "type": "object",
        "required": ["errors"],
        "properties": {
            "errors": {
                "type": "array",
                "minItems": 1,
                "items": {
                    "type": "object",
                    "required": ["title", "code"],
                    "properties": {"title": _TEXT, "code": _TEXT, "detail": _TEXT},
                },
            }
        },
    },
    "RemovebgResult": {
        "type": "object",
        "required": ["data"],
        "properties": {
            "data": {
                "type": "object",
                "required": [
                    "result_b64",
                    "foreground_top",
                    "foreground_left",
                    "foreground_width",
                    "foreground_height",
                ],
                "properties": {
                    "result_b64": _TEXT,
                    "foreground_top": _NUMBER,
                    "foreground_left": _NUMBER,
                    "foreground_width": _NUMBER,
                    "foreground_height": _NUMBER,
                },
            }
        },
    },
    "RemovebgAccount": {
        "type": "object",
        "required": ["data"],
        "properties": {
            "data": {
                "type": "object",
                "required": ["attributes"],
                "properties": {"attributes": {"type": "object"}},
            }
        },
    },
}

_ERRORS = {
    400: "every fault of the request; `code` tells which",
    403: "auth_failed, only where keys are configured",
    408: "upload_timeout",
    429: "rate_limit_exceeded",
    503: "the service is busy or starting",
    504: "timeout",
}

_CHOICES: dict[str, tuple[str, ...]] = {
    "size": tuple(SIZES),
    "format": FORMATS,
    "channels": ("rgba", "alpha"),
    "type": TYPES,
    "type_level": ("none", "1", "2", "latest"),
    "shadow_type": SHADOWS,
}
_PATTERNS = {
    "roi": f"^{_LENGTH}( +{_LENGTH}){{3}}$",
    "crop_margin": f"^{_LENGTH}(( +{_LENGTH})?|( +{_LENGTH}){{3}})$",
    "scale": f"^(original|{_PERCENT})$",
    "position": f"^(original|center|{_PERCENT}( +{_PERCENT})?)$",
    "bg_color": "^(#?([0-9a-fA-F]{3,4}|[0-9a-fA-F]{6}|[0-9a-fA-F]{8})|[a-zA-Z]+)$",
}
_FLAGS = ("crop", "semitransparency", "add_shadow")


def operations() -> list[Operation]:
    return [
        Operation("/v1.0/removebg", "post", _remove(), guarded=True),
        Operation("/v1.0/account", "get", _account(), guarded=True),
    ]


def _remove() -> Schema:
    files = {name: {**FILE, "description": "a file"} for name in ("image_file", "bg_image_file")}
    multipart = {**files, **_fields()}
    nullable = {name: {"anyOf": [*s["anyOf"], {"type": "null"}]} for name, s in _fields().items()}
    ok = answer(
        "The image, or with `Accept: application/json` the envelope",
        *("image/png", "image/jpeg", "image/webp", "application/zip"),
    )
    ok["content"]["application/json"] = {"schema": reference("RemovebgResult")}
    return {
        "tags": ["remove.bg"],
        "operationId": "removebg",
        "summary": "Remove a background",
        "description": "Exactly one of image_file, image_file_b64 and image_url; at most one of "
        "bg_color, bg_image_file and bg_image_url. An empty string means 'not given'; unknown "
        "parameters are ignored.",
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {"schema": _body(multipart, "image_file")},
                "application/x-www-form-urlencoded": {"schema": _body(_fields())},
                "application/json": {"schema": _body(nullable)},
            },
        },
        "responses": {"200": {**ok, "headers": _headers()}, **_errors(*_ERRORS)},
    }


def _account() -> Schema:
    ok = answer(
        "No credits are counted here", "application/json", schema=reference("RemovebgAccount")
    )
    return {
        "tags": ["remove.bg"],
        "operationId": "removebgAccount",
        "summary": "The account",
        "responses": {"200": ok, **_errors(403)},
    }


def _fields() -> dict[str, Schema]:
    texts = ("image_file_b64", "image_url", "bg_image_url")
    fields: dict[str, Schema] = {name: {"type": "string"} for name in texts}
    fields |= {name: {"type": "string", "enum": [*values]} for name, values in _CHOICES.items()}
    fields |= {name: {"type": "string", "pattern": value} for name, value in _PATTERNS.items()}
    fields |= {name: {"type": "boolean"} for name in _FLAGS}
    fields["shadow_opacity"] = {"type": "integer", "minimum": 0, "maximum": 100}
    return {name: or_empty(schema) for name, schema in fields.items()}


def _body(properties: dict[str, Schema], *files: str) -> Schema:
    """Exactly one source; unknown parameters are ignored."""
    sources = (*files, "image_file_b64", "image_url")
    return {
        "type": "object",
        "properties": properties,
        "oneOf": [
            {"required": [source], "properties": {source: {"type": "string", "minLength": 1}}}
            for source in sources
        ],
    }


def _headers() -> Schema:
    return headers(
        X_Type="what was given as type, or other",
        X_Width="of the image, px",
        X_Height="of the image, px",
        X_Max_Width="of the largest answer to this image, px",
        X_Max_Height="of the largest answer to this image, px",
        X_Credits_Charged="always 0",
        X_Ratelimit_Limit="requests a minute",
        X_Ratelimit_Remaining="of them, in this minute",
        X_Ratelimit_Reset="unix time at which they are whole again",
    )


def _errors(*statuses: int) -> dict[str, Schema]:
    cases = {status: _ERRORS[status] for status in statuses}
    return errors(cases, "application/json", reference("RemovebgErrors"))

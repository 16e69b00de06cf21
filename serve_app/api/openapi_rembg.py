"""What the rembg surface looks like from outside."""

from serve_app.api.openapi_parts import (
    FILE,
    Operation,
    Schema,
    answer,
    errors,
    or_empty,
    query,
    reference,
)
from serve_app.api.rembg import QUERY_ALWAYS, Parameters

TAG = {"name": "rembg", "description": "The HTTP API of rembg 2.x, for its clients."}

_TEXT: Schema = {"type": "string"}

SCHEMAS: dict[str, Schema] = {
    "RembgInvalid": {
        "type": "object",
        "required": ["detail"],
        "properties": {
            "detail": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["type", "loc", "msg"],
                    "properties": {
                        "type": _TEXT,
                        "loc": {"type": "array", "items": _TEXT},
                        "msg": _TEXT,
                    },
                },
            }
        },
    },
    "RembgError": {"type": "object", "required": ["detail"], "properties": {"detail": _TEXT}},
}

_ERRORS = {
    400: "an image that cannot be read, or a URL that cannot be fetched",
    403: "only where keys are configured",
    408: "the upload is too slow",
    413: "the file or the image is too large",
    415: "not one of the accepted formats",
    429: "too many requests",
    503: "the service is busy or starting",
    504: "the deadline passed",
}


def operations() -> list[Operation]:
    by_url, by_file = _described("removeUrl"), _described("removeFile")
    fields = _fields()
    always = {name: fields[name] for name in QUERY_ALWAYS}
    form = {name: schema for name, schema in fields.items() if name not in QUERY_ALWAYS}
    url: Schema = {"type": "string", "minLength": 1, "description": "of the image"}
    by_url["parameters"] = query({"url": url, **fields}, required=("url",))
    by_file["parameters"] = query(always)
    schema = {
        "type": "object",
        "properties": {"file": {**FILE, "description": "the image"}, **form},
        "required": ["file"],
    }
    by_file["requestBody"] = {
        "required": True,
        "content": {"multipart/form-data": {"schema": schema}},
    }
    return [
        Operation("/api/remove", "get", by_url, guarded=True),
        Operation("/api/remove", "post", by_file, guarded=True),
    ]


def _fields() -> dict[str, Schema]:
    properties: dict[str, Schema] = Parameters.model_json_schema()["properties"]
    return {name: or_empty(schema) for name, schema in properties.items()}


def _described(operation: str) -> Schema:
    responses = {
        "200": answer("The image", "image/png"),
        "422": answer(
            "a parameter outside of its values, or missing",
            "application/json",
            schema=reference("RembgInvalid"),
        ),
        **errors(_ERRORS, "application/json", reference("RembgError")),
    }
    return {
        "tags": ["rembg"],
        "operationId": operation,
        "summary": "Remove a background",
        "description": "`bgc` and `extras` are query parameters, with POST too.",
        "responses": responses,
    }

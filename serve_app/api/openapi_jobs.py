"""What the routes of jobs look like from outside."""

from serve_app.api.openapi_native import form, options_of
from serve_app.api.openapi_parts import (
    FILE,
    Operation,
    Schema,
    answer,
    errors,
    headers,
    query,
    reference,
)

TAG = {"name": "Jobs", "description": "Many images without holding a connection."}

_TEXT: Schema = {"type": "string"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_TIME: Schema = {"type": "string", "format": "date-time"}
_TIME_OR_NULL: Schema = {"type": ["string", "null"], "format": "date-time"}


def _object(properties: dict[str, Schema], *optional: str) -> Schema:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required}


_ERROR = {"code": _TEXT, "detail": _TEXT}

SCHEMAS: dict[str, Schema] = {
    "Job": _object(
        {
            "id": _TEXT,
            "state": {"enum": ["queued", "running", "done", "failed"]},
            "created": _TIME,
            "finished": _TIME_OR_NULL,
            "expires": {**_TIME_OR_NULL, "description": "then its result is gone"},
            "files": _object(
                dict.fromkeys(("total", "done", "failed", "waiting"), _COUNT),
            ),
            "errors": {
                "type": "array",
                "items": _object({"index": _COUNT, "name": _TEXT, **_ERROR}),
                "description": "the images that failed; they stop no other",
            },
            "error": {**_object(_ERROR), "description": "what ended the job as a whole"},
            "status_url": _TEXT,
            "events_url": _TEXT,
            "result_url": {"type": ["string", "null"], "description": "once it is done"},
        },
        "error",
    )
}

_ID: Schema = {"name": "id", "in": "path", "required": True, "schema": _TEXT}
_KEY: Schema = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "the same key with the same content is the same job, however often it is sent",
    "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
}
_LAST_EVENT: Schema = {
    "name": "Last-Event-ID",
    "in": "header",
    "description": "the last event that the client has; it goes on after that",
    "schema": {"type": "string", "pattern": "^([0-9]{1,18})?$"},
}
_RANGE: Schema = {
    "name": "Range",
    "in": "header",
    "description": "to go on with a download (RFC 9110)",
    "schema": _TEXT,
}

_EVENT = _object(
    {
        "event": {"enum": ["queued", "running", "file", "done", "failed", "deleted"]},
        "data": {**_TEXT, "description": "JSON; of a file, its index, name, status, code, detail"},
        "id": _TEXT,
    },
    "id",
    "event",
    "data",
)

_GONE = {
    403: "auth_failed, only where keys are configured",
    404: "not_found: no such job, or another key's",
    410: "job_expired: deleted, or past its time",
}
_CREATE_ERRORS = {
    400: "missing_image, invalid_option, invalid_request, invalid_idempotency_key, url_not_allowed",
    403: "auth_failed, only where keys are configured",
    408: "upload_timeout",
    409: "idempotency_conflict: the key has a job with other content",
    410: "job_expired: the key has a job that is gone",
    413: "file_too_large",
    429: "rate_limited",
    502: "download_failed, of the manifest",
    503: "overloaded: too many unfinished jobs",
    504: "download_timeout, of the manifest",
    507: "storage_full",
}


def operations(presets: list[str]) -> list[Operation]:
    """The routes of jobs, with the presets that this service knows."""
    one = "/v1/jobs/{id}"
    return [
        Operation("/v1/jobs", "post", _create(presets), guarded=True),
        _of_one(one, "get", "jobStatus", "How far a job is", {"200": _job("The job")}),
        _of_one(one, "delete", "jobDelete", "Stop and forget a job", {"204": _empty("It is gone")}),
        _of_one(
            f"{one}/events",
            "get",
            "jobEvents",
            "What happens to a job, as server-sent events",
            {
                "200": answer("The events to come", "text/event-stream", schema=_EVENT),
                "204": _empty("nothing more will happen"),
                **_problems({400: "invalid_option: Last-Event-ID is none"}),
            },
            _LAST_EVENT,
        ),
        _of_one(
            f"{one}/result",
            "get",
            "jobResult",
            "The images as a ZIP, manifest.json last",
            {
                "200": answer("The ZIP", "application/zip"),
                "206": answer("A part of it", "application/zip", "multipart/byteranges"),
                "400": answer("Range is malformed", "text/plain"),
                "416": answer("Range lies outside", "text/plain"),
                **_problems({409: "job_unfinished"}),
            },
            _RANGE,
        ),
    ]


def _create(presets: list[str]) -> Schema:
    options = options_of(presets)
    own: dict[str, Schema] = {
        "manifest": {
            **_TEXT,
            "description": "URL of a CSV with the columns uri, name and any option, in place of "
            "images; only where remote fetching is enabled",
        },
        "webhook": {
            **_TEXT,
            "description": "URL that is told of the end, signed; only where a secret is set",
        },
    }
    fields = {
        **options,
        **own,
        "background_image": {**FILE, "description": "behind every subject"},
        "image": {"type": "array", "items": FILE, "minItems": 1, "description": "repeated"},
    }
    accepted = _job("It will be worked on")
    accepted["headers"] = headers(
        Location="where to ask for it",
        Retry_After="seconds until that is worth it",
        Idempotency_Replayed="true where the job was there already",
    )
    return {
        "tags": ["Jobs"],
        "operationId": "jobCreate",
        "summary": "Many images in, an answer at once, the result later",
        "description": "Fields come before the first image, or stand in the query. An empty one "
        "means 'not given'.",
        "parameters": [_KEY, *query({**options, **own})],
        "requestBody": {
            "required": True,
            "content": {"multipart/form-data": {"schema": form(fields, [])}},
        },
        "responses": {"202": accepted, **_problems(_CREATE_ERRORS)},
    }


def _of_one(
    path: str,
    method: str,
    name: str,
    summary: str,
    responses: dict[str, Schema],
    *parameters: Schema,
) -> Operation:
    described = {
        "tags": ["Jobs"],
        "operationId": name,
        "summary": summary,
        "parameters": [_ID, *parameters],
        "responses": {**responses, **_problems(_GONE)},
    }
    return Operation(path, method, described, guarded=True)


def _job(description: str) -> Schema:
    return answer(description, "application/json", schema=reference("Job"))


def _empty(description: str) -> Schema:
    return {"description": description}


def _problems(cases: dict[int, str]) -> dict[str, Schema]:
    return errors(cases, "application/problem+json", reference("Problem"))

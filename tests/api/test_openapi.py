"""The OpenAPI document is true: of the routes, of the options, and of what comes back."""

import re
from collections.abc import Iterator

import httpx
import pytest
from starlette.routing import BaseRoute, Mount, Route

from serve_app.api.app import build_api
from serve_app.api.openapi import document
from serve_app.api.service import LocalMatting
from serve_app.engines.fake import FakeEngine
from serve_app.errors import InvalidOption
from serve_app.options import Options, load_presets, resolve_options
from serve_app.settings import Settings, parse_settings, resolve_path

PRESETS = load_presets(resolve_path(Settings().presets_path))


def real_routes(routes: list[BaseRoute], prefix: str = "") -> Iterator[tuple[str, str]]:
    for route in routes:
        if isinstance(route, Mount) and "/static/" not in route.path:
            yield from real_routes(route.routes, prefix + route.path)
        elif isinstance(route, Route):
            for method in (route.methods or set()) - {"HEAD"}:
                yield prefix + route.path, method.lower()


def test_every_route_is_described_and_no_other() -> None:
    app = build_api(LocalMatting(FakeEngine(), Settings()), Settings(), PRESETS)
    paths = document(Settings(), PRESETS)["paths"]
    described = {(path, method) for path, methods in paths.items() for method in methods}
    assert described == set(real_routes(app.routes))


def test_every_option_is_described_on_every_native_route() -> None:
    paths = document(Settings(), PRESETS)["paths"]
    options = {"preset", *Options.model_fields}
    own = {"/v1/jobs": {"Idempotency-Key", "manifest", "webhook"}}
    for path in ("/v1/matting", "/v1/matting/batch", "/v1/jobs"):
        operation = paths[path]["post"]
        described = {parameter["name"] for parameter in operation["parameters"]}
        assert described == options | own.get(path, set())
        form = operation["requestBody"]["content"]["multipart/form-data"]["schema"]
        assert options < set(form["properties"])


TEXTS = (
    "|original|center|0|5px|5%|10%|9%|100%|100.5%|101%|1 2|1px 2%|1 2 3|0 0 1% 2%|1 2 3 4 5|1em|"
    "network|0.5mp|mp|-1|10 %"
)


def patterns() -> list[tuple[str, str]]:
    described = Options.model_json_schema()["properties"]
    return [(name, schema["pattern"]) for name, schema in described.items() if "pattern" in schema]


@pytest.mark.parametrize(("name", "pattern"), patterns())
@pytest.mark.parametrize("text", TEXTS.split("|"))
def test_patterns_say_what_the_parsers_do(name: str, pattern: str, text: str) -> None:
    try:
        resolve_options({name: text}, PRESETS)
        accepted = True
    except InvalidOption:
        accepted = False
    assert accepted == (text == "" or bool(re.search(pattern, text)))


def test_the_document_is_valid(client: httpx.Client) -> None:
    validator = pytest.importorskip("openapi_spec_validator")
    response = client.get("/openapi.json")
    assert response.headers["content-type"] == "application/json"
    validator.validate(response.json())


def test_keys_are_described_where_there_are_any() -> None:
    guarded = parse_settings({}, environ={"CVUNET_API_KEYS": "a"})
    for settings, security in ((Settings(), []), (guarded, [{"key": []}, {"bearer": []}])):
        paths = document(settings, PRESETS)["paths"]
        assert paths["/v1/matting"]["post"]["security"] == security
        assert "security" not in paths["/healthz"]["get"]


def test_the_page_needs_nothing_from_outside(client: httpx.Client) -> None:
    response = client.get("/docs")
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    page = response.text
    assert not re.search(r"<script|https?://|\son\w+=|\sstyle=", page)
    for path in ("/v1/matting", "/v1.0/removebg", "/api/remove"):
        assert f"<code>{path}</code>" in page
    assert "<code>alpha_threshold</code>" in page

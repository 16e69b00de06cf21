"""Keys and the rate limit, on every surface."""

from collections.abc import Iterator

import httpx
import pytest
from starlette.requests import Request

from serve_app.api.access import UNLIMITED, Access
from serve_app.errors import RateLimited
from serve_app.settings import AccessSettings, parse_settings
from tests.api.conftest import serving

KEY = "correct horse battery staple"
ODD = "schlüssel-钥匙"
SURFACES = {"/v1/matting": "image", "/v1.0/removebg": "image_file", "/api/remove": "file"}


@pytest.fixture(scope="module")
def guarded() -> Iterator[httpx.Client]:
    settings = parse_settings(
        {"access": {"requests_per_minute": 1000}},
        environ={"CVUNET_API_KEYS": f"other, {KEY}, {ODD}"},
    )
    assert KEY not in settings.model_dump_json()
    with (
        serving(settings) as url,
        httpx.Client(base_url=url, timeout=30, trust_env=False) as client,
    ):
        yield client


def send(client: httpx.Client, path: str, photo: bytes, **headers: str) -> httpx.Response:
    return client.post(path, files={SURFACES[path]: photo}, headers=headers)


@pytest.mark.parametrize("path", SURFACES)
@pytest.mark.parametrize(
    "headers",
    [
        {"X-API-Key": KEY},
        {"x-api-key": KEY},
        {"X-Api-Key": "other"},
        {"Authorization": f"Bearer {KEY}"},
    ],
)
def test_a_key_opens(
    guarded: httpx.Client, photo: bytes, path: str, headers: dict[str, str]
) -> None:
    assert send(guarded, path, photo, **headers).status_code == 200


@pytest.mark.parametrize(
    "headers", [{}, {"X-API-Key": "wrong"}, {"X-API-Key": ""}, {"Authorization": f"Basic {KEY}"}]
)
def test_no_key_no_entry(guarded: httpx.Client, photo: bytes, headers: dict[str, str]) -> None:
    native = send(guarded, "/v1/matting", photo, **headers)
    assert (native.status_code, native.json()["code"]) == (403, "auth_failed")
    removebg = send(guarded, "/v1.0/removebg", photo, **headers)
    assert removebg.status_code == 403
    assert removebg.json() == {"errors": [{"title": "API Key invalid", "code": "auth_failed"}]}
    rembg = send(guarded, "/api/remove", photo, **headers)
    assert rembg.status_code == 403
    assert "key" in rembg.json()["detail"]
    assert guarded.get("/v1.0/account", headers=headers).status_code == 403


def test_a_key_may_hold_any_characters(guarded: httpx.Client, photo: bytes) -> None:
    files = {"image": photo}
    answer = guarded.post("/v1/matting", files=files, headers={"X-API-Key": ODD.encode()})
    assert answer.status_code == 200


def test_what_tells_nothing_needs_no_key(guarded: httpx.Client) -> None:
    for path in ("/healthz", "/readyz", "/v1/presets", "/v1/limits"):
        assert guarded.get(path).status_code == 200


def test_what_is_left_is_told(guarded: httpx.Client, photo: bytes) -> None:
    first = send(guarded, "/v1.0/removebg", photo, **{"X-API-Key": "other"})
    assert first.headers["x-ratelimit-limit"] == "1000"
    second = send(guarded, "/v1.0/removebg", photo, **{"X-API-Key": "other"})
    left = [int(answer.headers["x-ratelimit-remaining"]) for answer in (first, second)]
    assert left[1] == left[0] - 1 or left[1] == 999  # or a new minute has begun


def test_over_the_limit_is_429_on_every_surface(photo: bytes) -> None:
    settings = parse_settings({"access": {"requests_per_minute": 1}}, environ={})
    with serving(settings) as url, httpx.Client(base_url=url, trust_env=False) as client:
        for _ in range(2):  # should a minute end in between, the second round counts
            send(client, "/v1/matting", photo)
        native, removebg, rembg = (send(client, path, photo) for path in SURFACES)
    assert (native.status_code, native.json()["code"]) == (429, "rate_limited")
    assert removebg.json()["errors"][0]["code"] == "rate_limit_exceeded"
    assert rembg.status_code == 429
    assert removebg.headers["x-ratelimit-remaining"] == "0"
    for answer in (native, removebg, rembg):
        assert 1 <= int(answer.headers["retry-after"]) <= 60


def request_of(host: str) -> Request:
    return Request({"type": "http", "headers": [], "client": (host, 1)})


def test_each_caller_has_a_minute_of_its_own() -> None:
    clock = 1000.0
    access = Access(AccessSettings(requests_per_minute=2), now=lambda: clock)
    assert access.admit(request_of("a")).remaining == 1
    assert access.admit(request_of("a")).remaining == 0
    assert access.admit(request_of("b")).remaining == 1
    with pytest.raises(RateLimited) as caught:
        access.admit(request_of("a"))
    assert caught.value.retry_after == 1020 - 1000
    clock = 1020.0
    assert access.admit(request_of("a")).reset == 1080


def test_without_a_limit_nothing_is_counted() -> None:
    access = Access(AccessSettings())
    assert access.admit(request_of("a")).remaining == UNLIMITED

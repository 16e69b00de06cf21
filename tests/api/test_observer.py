"""What the metrics are told of each answer: its route, its status, why it was refused."""

import time
from collections.abc import Iterator

import httpx
import pytest

from serve_app.api.observer import route_of
from serve_app.errors import Overloaded, error_codes
from serve_app.options import Options
from serve_app.settings import Settings
from serve_app.types import Result, Upload
from tests.api.conftest import serving
from tests.conftest import encoded, picture


class Recording:
    """Keeps what it hears."""

    def __init__(self) -> None:
        self._answers: list[tuple[str, int]] = []
        self.reasons: list[str] = []

    def answers(self, count: int) -> list[tuple[str, int]]:
        """Wait for so many: a client may have its answer before they are told."""
        deadline = time.monotonic() + 10
        while len(self._answers) < count and time.monotonic() < deadline:
            time.sleep(0.01)
        return self._answers

    def answered(self, route: str, status: int, seconds: float) -> None:
        assert 0 < seconds < 60
        self._answers.append((route, status))

    def refused(self, reason: str) -> None:
        self.reasons.append(reason)


@pytest.fixture
def heard() -> Recording:
    return Recording()


@pytest.fixture
def client(settings: Settings, heard: Recording) -> Iterator[httpx.Client]:
    with serving(settings, observer=heard) as url, httpx.Client(base_url=url) as client:
        yield client


PHOTO = {"image": encoded(picture())}


@pytest.mark.parametrize(
    ("method", "path", "route"),
    [
        ("GET", "/", "/"),
        ("POST", "/v1/matting?preset=bulk", "/v1/matting"),
        ("GET", "/v1/matting", "/v1/matting"),
        ("GET", "/healthz", "/healthz"),
        ("POST", "/v1.0/removebg", "/v1.0/removebg"),
        ("GET", "/v1.0/../../etc", "none"),
        ("GET", "/v1.0/anything", "/v1.0/none"),
        ("GET", "/api/remove?url=http://a/b", "/api/remove"),
        ("GET", "/static/0123/js/app.js", "none"),
        ("GET", "/wp-login.php", "none"),
    ],
)
def test_a_route_is_named_by_its_pattern(
    client: httpx.Client, heard: Recording, method: str, path: str, route: str
) -> None:
    client.request(method, path)
    assert [name for name, _ in heard.answers(1)] == [route]


def test_the_pages_files_have_one_name(client: httpx.Client, heard: Recording) -> None:
    page = client.get("/").text
    for file in ("js/app.js", "icon.svg", "none.css"):
        folder = page.split('href="static/')[1].split("/")[0]
        client.get(f"/static/{folder}/{file}")
    assert [name for name, _ in heard.answers(4)] == ["/", *["/static"] * 3]


def test_a_prefix_of_the_whole_application_is_left_out(heard: Recording) -> None:
    class Route:
        path_format = "/v1/matting"

    assert route_of({"route": Route(), "root_path": "/shop"}, "/shop") == "/v1/matting"
    assert route_of({"route": Route(), "root_path": "/shop/sub"}, "/shop") == "/sub/v1/matting"


def test_a_refusal_has_a_status_and_a_reason(client: httpx.Client, heard: Recording) -> None:
    client.post("/v1/matting", files={"image": b"no image"})
    client.post("/v1/matting", files=PHOTO, data={"erode": "6"})
    client.post("/v1/matting", files={"image": b"\xff\xd8\xff" + bytes(3_000_000)})
    client.post("/v1.0/removebg", data={"size": "auto"})
    client.post("/api/remove", files={"file": b"no image"})
    client.post("/api/remove", data={"a": "true"})
    assert [status for _, status in heard.answers(6)] == [415, 400, 413, 400, 415, 422]
    assert heard.reasons == [
        "unsupported_format",
        "invalid_option",
        "file_too_large",
        "invalid_request",
        "unsupported_format",
        "invalid_option",
    ]
    assert set(heard.reasons) <= error_codes()


def test_an_answer_that_is_no_error_has_no_reason(client: httpx.Client, heard: Recording) -> None:
    client.post("/v1/matting", files=PHOTO)
    client.get("/nowhere")
    assert heard.answers(2) == [("/v1/matting", 200), ("none", 404)]
    assert heard.reasons == []


def test_a_batch_tells_of_each_bad_image(client: httpx.Client, heard: Recording) -> None:
    files = [("image", ("a.png", PHOTO["image"])), ("image", ("b.png", b"no image"))]
    client.post("/v1/matting/batch", files=files)
    assert heard.answers(1) == [("/v1/matting/batch", 200)]
    assert heard.reasons == ["unsupported_format"]


class _BusyOnce:
    """Says once that it is busy."""

    def __init__(self) -> None:
        self._said = False

    async def matte(self, upload: Upload, options: Options) -> Result:
        if not self._said:
            self._said = True
            raise Overloaded("busy", retry_after=0)
        raise ValueError("a bug")


def test_a_batch_tells_of_refusals_that_it_waited_out(settings: Settings, heard: Recording) -> None:
    with serving(settings, _BusyOnce(), heard) as url:
        answer = httpx.post(f"{url}/v1/matting/batch", files=PHOTO)
    assert answer.status_code == 200
    assert heard.reasons == ["overloaded", "internal_error"]


def test_a_bug_is_a_500(settings: Settings, heard: Recording) -> None:
    broken = _BusyOnce()
    with serving(settings, broken, heard) as url:
        for _ in range(2):
            httpx.post(f"{url}/v1/matting", files=PHOTO)
    assert heard.answers(2) == [("/v1/matting", 503), ("/v1/matting", 500)]

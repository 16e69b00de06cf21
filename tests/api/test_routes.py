"""The native routes over the pipeline in one process, no Ray."""

import io
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from serve_app.api.app import build_api
from serve_app.api.service import LocalMatting
from serve_app.engines.base import EngineInfo
from serve_app.engines.fake import FakeEngine
from serve_app.errors import NotReady, Overloaded
from serve_app.options import Options, load_presets
from serve_app.settings import Settings, parse_settings, resolve_path
from serve_app.types import Result, Upload
from tests.conftest import encoded, picture

SETTINGS = parse_settings({"limits": {"max_bytes": 200_000, "max_pixels": 100_000}}, environ={})
PRESETS = load_presets(resolve_path(Settings().presets_path))
PNG = encoded(picture())


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with TestClient(build_api(LocalMatting(FakeEngine(), SETTINGS), SETTINGS, PRESETS)) as client:
        yield client


def opened(body: bytes) -> Image.Image:
    return Image.open(io.BytesIO(body))


class TestMatting:
    def test_multipart(self, client: TestClient) -> None:
        answer = client.post("/v1/matting", files={"image": PNG}, data={"output": "alpha"})
        assert answer.status_code == 200
        assert opened(answer.content).mode == "L"

    @pytest.mark.parametrize("kind", ["image/png", "image/x-anything", "application/octet-stream"])
    def test_raw_body_with_options_in_the_query(self, client: TestClient, kind: str) -> None:
        answer = client.post(
            "/v1/matting?output=alpha&format=webp", content=PNG, headers={"content-type": kind}
        )
        assert answer.headers["content-type"] == "image/webp"

    def test_options_as_fields_and_query_together(self, client: TestClient) -> None:
        answer = client.post(
            "/v1/matting?output=alpha", files={"image": PNG}, data={"format": "jpeg"}
        )
        assert (opened(answer.content).format, opened(answer.content).mode) == ("JPEG", "L")

    def test_files_beside_the_image(self, client: TestClient) -> None:
        files = {"image": PNG, "background_image": PNG, "trimap": b""}
        answer = client.post("/v1/matting", files=files)
        assert opened(answer.content).mode == "RGB"

    def test_headers(self, client: TestClient) -> None:
        answer = client.post("/v1/matting", files={"image": PNG}, headers={"X-Request-Id": "abc"})
        assert answer.headers["x-request-id"] == "abc"
        assert answer.headers["x-batch-size"] == "1"
        assert answer.headers["x-model"] == "fake/0 (fake, cpu, uint8)"
        box = [answer.headers[f"x-foreground-{k}"] for k in ("top", "left", "width", "height")]
        assert box == ["16", "51", "59", "59"]
        assert answer.headers["x-content-type-options"] == "nosniff"

    @pytest.mark.parametrize("bad", ["", "a" * 129, "semi;colon", "né"])
    def test_a_bad_request_id_is_replaced(self, client: TestClient, bad: str) -> None:
        answer = client.get("/healthz", headers={"X-Request-Id": bad.encode()})
        assert len(answer.headers["x-request-id"]) == 32

    @pytest.mark.parametrize(
        ("accept", "kind"),
        [("*/*", "PNG"), ("image/webp", "WEBP"), ("image/jpeg, image/*;q=0.5", "JPEG")],
    )
    def test_the_format_follows_accept(self, client: TestClient, accept: str, kind: str) -> None:
        answer = client.post("/v1/matting", files={"image": PNG}, headers={"accept": accept})
        assert opened(answer.content).format == kind
        assert answer.headers["vary"] == "Accept"


class TestProblems:
    @pytest.mark.parametrize(
        ("request_", "status", "code", "words"),
        [
            ({}, 400, "missing_image", "field 'image'"),
            (
                {"content": b"x", "headers": {"content-type": "text/plain"}},
                400,
                "missing_image",
                "",
            ),
            ({"content": b"", "headers": {"content-type": "image/png"}}, 400, "missing_image", ""),
            ({"files": {"photo": PNG}}, 400, "invalid_option", "'photo'"),
            ({"data": {"image": "abc"}, "files": {"trimap": PNG}}, 400, "missing_image", "text"),
            ({"files": [("image", PNG), ("image", PNG)]}, 400, "multiple_images", "batch"),
            ({"files": {"image": b""}}, 400, "invalid_image", "empty"),
            ({"files": {"image": PNG[:-40]}}, 400, "invalid_image", ""),
            ({"files": {"image": PNG}, "data": {"erode": "9"}}, 400, "invalid_option", "erode=9"),
            ({"files": {"image": b"%PDF-1.7"}}, 415, "unsupported_format", "JPEG"),
            ({"files": {"image": bytes(200_001)}}, 413, "file_too_large", "200,001"),
            ({"files": {"image": bytes(2_000_000)}}, 413, "file_too_large", "bytes"),
            ({"files": {"image": encoded(picture(400, 400))}}, 413, "image_too_large", "0.1"),
            ({"files": {"image": PNG, "background_image": b"x"}}, 415, "unsupported_format", ""),
        ],
    )
    def test_bad_input(
        self,
        client: TestClient,
        request_: dict[str, object],
        status: int,
        code: str,
        words: str,
    ) -> None:
        answer = client.post("/v1/matting", **request_)  # type: ignore[arg-type]
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (status, code)
        assert answer.headers["content-type"] == "application/problem+json"
        assert set(problem) == {"type", "title", "status", "detail", "code", "request_id"}
        assert problem["request_id"] == answer.headers["x-request-id"]
        assert words in problem["detail"]

    def test_an_option_given_twice(self, client: TestClient) -> None:
        answer = client.post("/v1/matting?erode=1", files={"image": PNG}, data={"erode": "2"})
        assert answer.json()["code"] == "invalid_option"

    def test_an_empty_option_is_not_given(self, client: TestClient) -> None:
        for first, second in (("", "jpeg"), ("jpeg", "")):
            answer = client.post(
                f"/v1/matting?format={first}", files={"image": PNG}, data={"format": second}
            )
            assert answer.headers["content-type"] == "image/jpeg", answer.text

    @pytest.mark.parametrize("option", ["preset", "format", "colour"])
    @pytest.mark.parametrize("size", [2000, 190_000, 250_000])  # the last one over max_bytes
    def test_a_long_option_is_refused_and_not_sent_back(
        self, client: TestClient, option: str, size: int
    ) -> None:
        answer = client.post("/v1/matting", files={"image": PNG}, data={option: "x" * size})
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_option")
        assert f"'{option}' has {size:,} bytes" in answer.json()["detail"]

    @pytest.mark.parametrize("query", ["preset={}", "{}=1", "background={}"])
    def test_errors_quote_no_more_than_the_beginning(self, client: TestClient, query: str) -> None:
        files = {"image": PNG, "background_image": PNG}
        answer = client.post(f"/v1/matting?{query.format('x' * 20_000)}", files=files)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_option")
        assert len(answer.content) < 2000

    def test_a_broken_multipart_body(self, client: TestClient) -> None:
        headers = {"content-type": "multipart/form-data; boundary=x"}
        answer = client.post("/v1/matting", content=b"--x\r\nbroken", headers=headers)
        assert answer.status_code == 400
        headers = {"content-type": "multipart/form-data"}
        answer = client.post("/v1/matting", content=b"--x\r\nbroken", headers=headers)
        assert answer.status_code == 400

    def test_a_body_of_unknown_length_is_cut_off(self, client: TestClient) -> None:
        def endless() -> Iterator[bytes]:
            for _ in range(1000):
                yield bytes(10_000)

        answer = client.post(
            "/v1/matting", content=endless(), headers={"content-type": "image/png"}
        )
        assert answer.json()["code"] == "file_too_large"

    def test_no_such_route_and_wrong_method(self, client: TestClient) -> None:
        assert client.get("/v2").json()["code"] == "not_found"
        answer = client.get("/v1/matting")
        assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
        assert "POST" in answer.headers["allow"]


class TestInformation:
    def test_presets(self, client: TestClient) -> None:
        body = client.get("/v1/presets").json()
        assert body["default"] == "bulk"
        assert set(body["presets"]) == set(PRESETS)
        for values in body["presets"].values():
            assert set(values) == set(Options.model_fields)

    def test_models(self, client: TestClient) -> None:
        (model,) = client.get("/v1/models").json()["models"]
        assert set(model) == {
            "name", "version", "sha256", "engine", "device", "precision", "reason"
        }  # fmt: skip

    def test_limits(self, client: TestClient) -> None:
        limits = client.get("/v1/limits").json()
        assert limits["max_bytes"] == 200_000
        assert limits["formats"] == ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF"]

    def test_health(self, client: TestClient) -> None:
        assert client.get("/healthz").status_code == 200
        assert client.get("/readyz").status_code == 200


class FailingMatting:
    """A service in trouble."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def matte(self, upload: Upload, options: Options) -> Result:
        raise self._error

    async def describe(self) -> EngineInfo:
        raise self._error


def failing(error: Exception) -> TestClient:
    return TestClient(build_api(FailingMatting(error), SETTINGS, PRESETS))


def test_overload_says_when_to_come_back() -> None:
    answer = failing(Overloaded("full", 7)).post("/v1/matting", files={"image": PNG})
    assert (answer.status_code, answer.json()["code"]) == (503, "overloaded")
    assert answer.headers["retry-after"] == "7"


def test_not_ready_until_the_network_is() -> None:
    client = failing(NotReady("starting", 2))
    assert client.get("/readyz").status_code == 503
    assert client.get("/healthz").status_code == 200


def test_a_bug_is_a_500_that_tells_nothing(caplog: pytest.LogCaptureFixture) -> None:
    answer = failing(RuntimeError("secret path")).post("/v1/matting", files={"image": PNG})
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert "secret" not in answer.text
    assert answer.json()["request_id"] in answer.json()["detail"]
    assert "secret path" in caplog.text


def test_one_log_line_a_request_without_its_query(caplog: pytest.LogCaptureFixture) -> None:
    local = LocalMatting(FakeEngine(), SETTINGS)
    with caplog.at_level("INFO"), TestClient(build_api(local, SETTINGS, PRESETS)) as client:
        client.post("/v1/matting?output=alpha", files={"image": PNG})
    (record,) = [r for r in caplog.records if r.name == "ray.serve.cvunet"]
    assert record.path == "/v1/matting"
    assert record.status == 200
    assert record.size == "160x90"
    assert record.batch_size == 1
    assert set(record.stages_ms) == {"decode", "infer", "post", "encode"}
    assert "output=alpha" not in str(vars(record))


def test_the_answer_is_the_pipelines(client: TestClient) -> None:
    answer = client.post("/v1/matting", files={"image": PNG}, data={"decontaminate": "false"})
    alpha = np.asarray(opened(answer.content))[..., 3]
    expected = picture()[..., 0]
    assert np.array_equal(alpha, np.where(expected < 10, 0, expected))

"""The real service over HTTP: Ray Serve, the real checkpoint, real photos, real faults."""

import contextlib
import io
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest
from PIL import Image

from benchmarks.running_service import RunningService
from serve_app.engines import open_engine
from serve_app.options import load_presets, resolve_options
from serve_app.pipeline import Pipeline
from serve_app.settings import parse_settings, resolve_path
from serve_app.types import Upload
from tests.conftest import encoded, picture

SETTINGS = parse_settings({})
PRESETS = load_presets(resolve_path(SETTINGS.presets_path))


@pytest.fixture(scope="module")
def client(service: RunningService) -> httpx.Client:
    with httpx.Client(base_url=service.url, timeout=60) as client:
        yield client


def post(client: httpx.Client, image: bytes, **options: str) -> httpx.Response:
    return client.post("/v1/matting", files={"image": image}, data=options)


def alpha_of(response: httpx.Response) -> np.ndarray:
    assert response.status_code == 200, response.text
    return np.asarray(Image.open(io.BytesIO(response.content)))


def test_the_alpha_over_http_is_the_in_process_one(client: httpx.Client, photos: Path) -> None:
    pipeline = Pipeline(open_engine(SETTINGS.model), SETTINGS.limits, SETTINGS.batching.bucket_step)
    for photo in ("davis", "wanko", "alphamatting"):
        data = sorted((photos / photo / "images").iterdir())[0].read_bytes()
        options = resolve_options({"output": "alpha"}, PRESETS)
        expected = pipeline.alpha(Upload(data), options)
        answer = post(client, data, output="alpha")
        assert np.array_equal(alpha_of(answer), expected)
        assert 0 < expected.mean() < 255


def test_an_answer_says_what_it_is(client: httpx.Client) -> None:
    answer = client.post(
        "/v1/matting", files={"image": encoded(picture())}, headers={"X-Request-Id": "mine-1"}
    )
    assert answer.headers.get_list("x-request-id") == ["mine-1"]
    stages = [part.split(";")[0] for part in answer.headers["server-timing"].split(", ")]
    assert stages == ["decode", "queue", "infer", "post", "encode"]
    model = client.get("/v1/models").json()["models"][0]
    assert answer.headers["x-model"].startswith(f"{model['name']}/{model['version']}")
    assert len(model["sha256"]) == 64


def test_requests_at_once_share_batches(client: httpx.Client) -> None:
    image = encoded(picture(576, 1024), "JPEG")
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: post(client, image), range(12)))
    sizes = [int(answer.headers["x-batch-size"]) for answer in answers]
    # How many share one follows from which stage is the slow one: tests/test_batching.py.
    assert max(sizes) > 1
    lone = post(client, image)
    assert lone.headers["x-batch-size"] == "1"


def test_nothing_of_one_request_shows_in_another(client: httpx.Client) -> None:
    def colour(i: int) -> np.ndarray:
        return np.full((64 + i, 64 + 2 * i, 3), (5 * i, 255 - 5 * i, 7 * i), np.uint8)

    # With everything known to be foreground, the answer is the picture itself.
    def ask(i: int) -> np.ndarray:
        everything = encoded(np.full((64 + i, 64 + 2 * i), 255, np.uint8))
        files = {"image": encoded(colour(i)), "trimap": everything}
        return alpha_of(client.post("/v1/matting", files=files))

    with ThreadPoolExecutor(8) as pool:
        for i, rgba in enumerate(pool.map(ask, range(32))):
            assert np.array_equal(rgba[..., :3], colour(i))
            assert (rgba[..., 3] == 255).all()


@pytest.mark.parametrize(
    ("files", "data", "status", "code"),
    [
        ({}, {"preset": "bulk"}, 400, "missing_image"),
        ({"image": b""}, {}, 400, "invalid_image"),
        ({"image": b"\xff\xd8\xff\xe0 cut off"}, {}, 400, "invalid_image"),
        ({"image": b"hello"}, {}, 415, "unsupported_format"),
        ({"image": encoded(picture())}, {"erode": "6"}, 400, "invalid_option"),
        ({"image": encoded(picture())}, {"colour": "red"}, 400, "invalid_option"),
        ({"image": encoded(np.zeros((1, 16385), np.uint8))}, {}, 413, "image_too_large"),
        ({"image": b"\xff\xd8\xff" + bytes(25_000_000)}, {}, 413, "file_too_large"),
    ],
)
def test_bad_input_has_its_own_answer(
    service: RunningService,
    client: httpx.Client,
    files: dict[str, bytes],
    data: dict[str, str],
    status: int,
    code: str,
) -> None:
    before = {replica.pid for replica in service.replicas("Preprocess")}
    answer = client.post("/v1/matting", files=files or {"other": ("", b"")}, data=data)
    problem = answer.json()
    if not files:
        assert problem["status"] == 400
    else:
        assert (answer.status_code, problem["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert before == {replica.pid for replica in service.replicas("Preprocess")}


def test_a_passed_deadline_is_a_504(client: httpx.Client) -> None:
    answer = client.post("/hasty/v1/matting", files={"image": encoded(picture())})
    assert (answer.status_code, answer.json()["code"]) == (504, "timeout")
    assert "within 0.001 s" in answer.json()["detail"]


@pytest.mark.parametrize("deployment", ["Preprocess", "UNet", "Postprocess"])
def test_a_killed_replica_costs_no_request(
    service: RunningService, client: httpx.Client, deployment: str
) -> None:
    image = encoded(picture(576, 1024), "JPEG")
    victim = service.replicas(deployment)[0]
    stop_at = time.monotonic() + 6

    def keep_asking(_: int) -> list[int]:
        statuses = []
        while time.monotonic() < stop_at:
            statuses.append(post(client, image).status_code)
        return statuses

    with ThreadPoolExecutor(4) as pool:
        asking = pool.map(keep_asking, range(4))
        time.sleep(2)
        victim.kill()
        statuses = [status for batch in asking for status in batch]
    assert set(statuses) == {200}
    service.wait_until_ready()
    assert victim.pid not in {replica.pid for replica in service.replicas(deployment)}


def test_replicas_that_have_no_network_have_no_torch(service: RunningService) -> None:
    for deployment in ("Ingress", "Preprocess", "Postprocess"):
        for replica in service.replicas(deployment):
            libraries = {Path(region.path).name for region in replica.memory_maps()}
            assert not any(name.startswith("libtorch") for name in libraries), deployment


def test_all_of_the_service_listens_on_loopback_alone(service: RunningService) -> None:
    listening = set()
    for process in service.tree():
        with contextlib.suppress(psutil.NoSuchProcess):  # Ray's short-lived helpers
            listening |= {
                (process.name(), connection.laddr.ip, connection.laddr.port)
                for connection in process.net_connections("tcp")
                if connection.status == psutil.CONN_LISTEN
            }
    assert ("127.0.0.1", int(service.url.rsplit(":", 1)[1])) in {where[1:] for where in listening}
    assert any(name.startswith("ray::ServeRepl") for name, *_ in listening)
    assert [where for where in listening if where[1] not in ("127.0.0.1", "::ffff:127.0.0.1")] == []

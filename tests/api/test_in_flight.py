"""What a service that ends does with requests: it finishes those it has, and takes no new ones."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from serve_app.api.service import LocalMatting
from serve_app.drain import announce_end, is_idle, wait_until_idle
from serve_app.engines.fake import FakeEngine
from serve_app.options import Options
from serve_app.settings import Settings, parse_settings
from serve_app.types import Result, Upload
from tests.api.conftest import serving

WORK = {
    "/v1/matting": "image",
    "/v1/matting/batch": "image",
    "/v1/jobs": "image",
    "/v1.0/removebg": "image_file",
    "/api/remove": "file",
}


class HeldMatting(LocalMatting):
    """Begins each image, and finishes it when it is told to."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(FakeEngine(), settings)
        self.begun, self.go_on = threading.Event(), threading.Event()

    async def matte(self, upload: Upload, options: Options) -> Result:
        self.begun.set()
        await asyncio.to_thread(self.go_on.wait, 30)
        return await super().matte(upload, options)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "drain"
    path.touch()
    return path


@pytest.fixture
def settings(file: Path, tmp_path: Path) -> Settings:
    jobs = {"storage": str(tmp_path / "jobs")}
    return parse_settings({"jobs": jobs}, environ={"CVUNET_DRAIN_FILE": str(file)})


@pytest.fixture
def matting(settings: Settings) -> HeldMatting:
    return HeldMatting(settings)


@pytest.fixture
def client(settings: Settings, matting: HeldMatting) -> Iterator[httpx.Client]:
    with serving(settings, matting) as url, httpx.Client(base_url=url, timeout=30) as client:
        yield client


def test_the_end(client: httpx.Client, file: Path, matting: HeldMatting, photo: bytes) -> None:
    assert client.get("/readyz").status_code == 200
    with ThreadPoolExecutor(1) as pool:
        in_flight = pool.submit(client.post, "/v1/matting", files={"image": photo})
        assert matting.begun.wait(30)
        announce_end(file)
        assert not is_idle(file)
        for path, field in WORK.items():
            answer = client.post(path, files={field: photo})
            assert answer.status_code == 503, path
            assert answer.headers["retry-after"] == "5"
            assert "the service is ending: try again" in answer.text  # in each surface's own shape
        assert client.get("/readyz").status_code == 503
        assert client.get("/healthz").status_code == 200
        assert not in_flight.done()
        matting.go_on.set()
        assert in_flight.result(30).status_code == 200
    assert wait_until_idle(file, 5)


def test_a_batch_is_finished(
    client: httpx.Client, file: Path, matting: HeldMatting, photo: bytes
) -> None:
    files = [("image", (f"{i}.png", photo)) for i in range(6)]
    with ThreadPoolExecutor(1) as pool:
        in_flight = pool.submit(client.post, "/v1/matting/batch", files=files)
        assert matting.begun.wait(30)
        announce_end(file)
        matting.go_on.set()
        answer = in_flight.result(30)
    assert answer.status_code == 200
    assert answer.content.count(b"PK\x03\x04") == 7  # with the manifest


def test_who_watches_a_job_holds_nothing_up(
    client: httpx.Client, file: Path, matting: HeldMatting, photo: bytes
) -> None:
    job = client.post("/v1/jobs", files={"image": photo}).headers["location"]
    with client.stream("GET", f"{job}/events") as events:
        next(events.iter_lines())
        assert wait_until_idle(file, 5)
    matting.go_on.set()

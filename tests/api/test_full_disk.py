"""What a batch does when the disk takes no more: a clear answer, and nothing left behind."""

import io
import resource
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest

from serve_app.api.archive import StreamedZip
from serve_app.api.disk_queue import DiskQueue
from serve_app.api.service import LocalMatting
from serve_app.engines.fake import FakeEngine
from serve_app.errors import StorageFull
from serve_app.settings import Settings
from serve_app.types import Array
from tests.api.conftest import serving
from tests.conftest import encoded

URL = "/v1/matting/batch"


@contextmanager
def disk_of(size: int) -> Iterator[None]:
    """No file of this process grows beyond `size` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


class TestDiskQueue:
    def test_what_does_not_fit_is_told_and_what_fitted_is_still_there(self) -> None:
        queue = DiskQueue()
        with disk_of(2_000_000):
            queue.put(b"a" * 1_500_000)
            with pytest.raises(StorageFull, match=r"File too large.*send fewer images"):
                queue.put(b"b" * 1_500_000)
            assert queue.take() == b"a" * 1_500_000
            queue.close()

    def test_an_item_that_is_lost_is_not_given_short(self) -> None:
        queue = DiskQueue()
        with disk_of(500_000):
            queue.put(b"a" * 900_000)  # in memory
            with pytest.raises(StorageFull):
                queue.put(b"b" * 900_000)  # both would go to disk now
            with pytest.raises(StorageFull):
                queue.take()
            queue.close()


def test_a_zip_that_waits_for_its_reader() -> None:
    archive = StreamedZip()
    with disk_of(2_000_000):
        archive.add("a", bytes(1_000_000))
        with pytest.raises(StorageFull):
            archive.add("b", bytes(6_000_000))
        archive.close()


class GatedEngine(FakeEngine):
    def __init__(self) -> None:
        self.may_work = threading.Event()

    def predict(self, rgb: Array, trimap: Array) -> Array:
        assert self.may_work.wait(60)
        return super().predict(rgb, trimap)


def noise(side: int = 800, format: str = "PNG") -> bytes:
    """About 2 MB as a PNG, which cannot make it smaller."""
    return encoded(
        np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8), format, quality=20
    )


def batch(url: str, image: bytes, count: int) -> httpx.Response:
    files = [("image", (f"{i}.png", image)) for i in range(count)]
    return httpx.post(url + URL, files=files, timeout=60, trust_env=False)


@pytest.fixture(autouse=True)
def own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.fixture
def one_at_a_time(settings: Settings) -> Settings:
    limits = settings.limits.model_copy(update={"batch_concurrency": 1})
    return settings.model_copy(update={"limits": limits})


def test_a_batch_that_does_not_fit_is_507_and_leaves_nothing(one_at_a_time: Settings) -> None:
    engine = GatedEngine()
    with serving(one_at_a_time, LocalMatting(engine, one_at_a_time)) as url:
        before = psutil.Process().num_fds()
        with disk_of(3_000_000):
            answer = batch(url, noise(), 5)
        assert (answer.status_code, answer.json()["code"]) == (507, "storage_full")
        engine.may_work.set()
        assert batch(url, noise(64), 2).status_code == 200
        settled(before)


def test_a_disk_that_fills_up_later_breaks_the_answer_off(one_at_a_time: Settings) -> None:
    with serving(one_at_a_time) as url:
        before = psutil.Process().num_fds()
        # The small cutout stays in memory, the larger one would go to disk.
        with disk_of(100_000), pytest.raises(httpx.RemoteProtocolError):
            read_all(url, [noise(64, "JPEG"), noise(1400, "JPEG")])
        assert batch(url, noise(64), 2).status_code == 200
        settled(before)


def read_all(url: str, images: list[bytes]) -> None:
    def parts() -> Iterator[bytes]:
        for image in images:
            yield b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
            yield image + b"\r\n"
        yield b"--x--\r\n"

    head = {"content-type": "multipart/form-data; boundary=x"}
    with httpx.stream("POST", url + URL, content=parts(), headers=head, timeout=60) as answer:
        body = answer.read()
    assert answer.status_code != 200 or zipfile.is_zipfile(io.BytesIO(body))


def settled(fds: int) -> None:
    """Wait until no more descriptors are open than before; no temporary file is left."""
    deadline = time.monotonic() + 20
    while psutil.Process().num_fds() > fds + 2:  # connections that are kept alive
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert list(Path(tempfile.gettempdir()).iterdir()) == []

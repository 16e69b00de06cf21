"""The Python client's jobs against a running service, and over lines that break."""

import asyncio
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from serve_app import errors
from serve_app.client import AsyncClient, Client, JobEvent, JobStatus, ServiceUnreachable
from serve_app.client.events import EventReader
from serve_app.settings import Settings
from tests.api.conftest import serving
from tests.api.jobs.conftest import KEYS, square

Answer = Callable[[httpx.Request], httpx.Response]


@pytest.fixture(scope="module")
def service(make_settings: Callable[..., Settings]) -> Iterator[str]:
    with serving(make_settings()) as url:
        yield url


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Three, the second being no image."""
    paths = [tmp_path / name for name in ("a.png", "b.png", "猫.png")]
    for i, path in enumerate(paths):
        path.write_bytes(square(120 + i))
    paths[1].write_text("no image")
    return paths


def names(path: Path) -> list[str]:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return archive.namelist()


def test_from_files_to_the_result(service: str, files: list[Path], tmp_path: Path) -> None:
    events: list[JobEvent] = []
    with Client(service, api_key=KEYS[0]) as client:
        job = client.jobs.create(files, preset="preview", format="webp")
        assert (job.total, job.expires) == (3, None)
        status = client.jobs.wait(job, on_event=events.append)
        assert client.jobs.status(job.id) == status
        result = client.jobs.download(job, tmp_path / "cutouts.zip")
        client.jobs.delete(job)
        with pytest.raises(errors.JobExpired):
            client.jobs.status(job)
    assert (status.state, status.done, status.waiting) == ("done", 2, 0)
    assert [(file.name, file.code) for file in status.failed] == [("b.png", "unsupported_format")]
    kinds = [event.kind for event in events]
    assert kinds == ["queued", "running", "file", "file", "file", "done"]
    assert [event.id for event in events] == sorted({event.id for event in events})
    assert sorted(event.data["name"] for event in events if event.kind == "file") == sorted(
        file.name for file in files
    )
    assert names(result) == ["a.webp", "猫.webp", "manifest.json"]
    assert list(tmp_path.glob("*.part")) == []


def test_the_same_for_asyncio(service: str, files: list[Path], tmp_path: Path) -> None:
    events: list[JobEvent] = []

    async def run() -> None:
        async with AsyncClient(service, api_key=KEYS[0]) as client:
            job = await client.jobs.create(files)
            status = await client.jobs.wait(job, on_event=events.append)
            assert status.done == 2
            assert await client.jobs.status(job) == status
            result = await client.jobs.download(job, tmp_path / "cutouts.zip")
            assert names(result) == ["a.png", "猫.png", "manifest.json"]
            await client.jobs.delete(job)
            with pytest.raises(errors.JobExpired):
                await client.jobs.wait(job)

    asyncio.run(run())
    assert events[-1].kind == "done"


def test_a_manifest_in_place_of_files(service: str, photo_host: str, tmp_path: Path) -> None:
    with Client(service, api_key=KEYS[0]) as client:
        job = client.jobs.create(manifest=f"{photo_host}/list.csv", format="webp")
        status = client.jobs.wait(job)
        result = client.jobs.download(job, tmp_path / "cutouts.zip")
        with pytest.raises(errors.MissingImage, match="no rows"):
            client.jobs.create(manifest=f"{photo_host}/text")
    assert [(file.name, file.code) for file in status.failed] == [("missing", "download_failed")]
    assert names(result) == ["photo.webp", "manifest.json"]


def test_a_key_is_the_same_job_and_another_one_is_refused(service: str, files: list[Path]) -> None:
    with Client(service, api_key=KEYS[0]) as client:
        first = client.jobs.create(files, idempotency_key="order-17")
        assert client.jobs.create(files, idempotency_key="order-17").id == first.id
        with pytest.raises(errors.IdempotencyConflict):
            client.jobs.create(files[:1], idempotency_key="order-17")
        assert client.jobs.create(files).id != client.jobs.create(files).id
    with Client(service, api_key=KEYS[1]) as other, pytest.raises(errors.NotFound):
        other.jobs.status(first)


def test_a_deletion_whose_answer_was_lost_is_done() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.method)
        if len(asked) == 1:
            raise httpx.ReadError("connection reset")
        return httpx.Response(410, json={"code": "job_expired", "detail": "the job was deleted"})

    asked: list[str] = []
    with Client("http://service", transport=httpx.MockTransport(answer)) as client:
        client.jobs.delete("f00")
    assert asked == ["DELETE", "DELETE"]


def test_a_result_that_is_not_there_yet() -> None:
    problem = {"code": "job_unfinished", "detail": "the job has 2 of 3 images left to do"}
    transport = httpx.MockTransport(lambda _: httpx.Response(409, json=problem))
    with (
        Client("http://service", transport=transport) as client,
        pytest.raises(errors.JobUnfinished, match="2 of 3"),
    ):
        client.jobs.download("f00", "cutouts.zip")


class Breaking(httpx.SyncByteStream):
    """A body whose connection breaks after these bytes."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        yield self._body
        raise httpx.ReadError("connection reset")


def breaking_download(body: bytes, piece: int) -> tuple[Answer, list[str]]:
    """A service that sends this many bytes of a result an answer; and what was asked of it."""
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        wanted = request.headers.get("range", "")
        asked.append(wanted)
        start = int(wanted.removeprefix("bytes=").removesuffix("-") or 0)
        if start >= len(body):
            return httpx.Response(416, headers={"Content-Range": f"bytes */{len(body)}"})
        status = 206 if wanted else 200
        if start + piece >= len(body):
            return httpx.Response(status, content=body[start:])
        return httpx.Response(status, stream=Breaking(body[start : start + piece]))

    return answer, asked


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)


@pytest.mark.usefixtures("no_pauses")
def test_a_download_goes_on_where_it_broke_off(tmp_path: Path) -> None:
    answer, asked = breaking_download(bytes(range(100)), 40)
    with Client("http://service", transport=httpx.MockTransport(answer)) as client:
        result = client.jobs.download("f00", tmp_path / "cutouts.zip")
    assert result.read_bytes() == bytes(range(100))
    assert asked == ["", "bytes=40-", "bytes=80-"]


@pytest.mark.usefixtures("no_pauses")
def test_a_download_goes_on_in_another_run(tmp_path: Path) -> None:
    body = bytes(range(100))
    answer, _ = breaking_download(body, 0)
    with (
        Client("http://service", transport=httpx.MockTransport(answer), tries=2) as client,
        pytest.raises(ServiceUnreachable),
    ):
        client.jobs.download("f00", tmp_path / "cutouts.zip")
    (part,) = tmp_path.glob("*.part")
    part.write_bytes(body)  # all of it was there, and the run ended before it had its name
    answer, asked = breaking_download(body, 100)
    with Client("http://service", transport=httpx.MockTransport(answer)) as client:
        assert client.jobs.download("f00", tmp_path / "cutouts.zip").read_bytes() == body
    assert asked == ["bytes=100-"]


@pytest.mark.usefixtures("no_pauses")
def test_a_part_that_is_too_long_is_dropped(tmp_path: Path) -> None:
    (tmp_path / "cutouts.zip.f00.part").write_bytes(bytes(200))
    answer, asked = breaking_download(b"result", 100)
    with Client("http://service", transport=httpx.MockTransport(answer)) as client:
        assert client.jobs.download("f00", tmp_path / "cutouts.zip").read_bytes() == b"result"
    assert asked == ["bytes=200-", ""]


def event(id: int, kind: str) -> bytes:
    return f'id: {id}\nevent: {kind}\ndata: {{"time": {id}}}\n\n'.encode()


STATUS = {
    "id": "f00",
    "state": "failed",
    "files": {"total": 1, "done": 0, "failed": 0, "waiting": 1},
    "errors": [],
    "expires": None,
    "error": {"code": "invalid_image", "detail": "it cannot be read"},
}


@pytest.mark.usefixtures("no_pauses")
def test_events_go_on_after_the_last_one(tmp_path: Path) -> None:
    asked: list[str] = []
    answers = [event(1, "queued") + event(2, "running")[:20], event(2, "running"), b""]

    def answer(request: httpx.Request) -> httpx.Response:
        if not request.url.path.endswith("/events"):
            return httpx.Response(200, json=STATUS)
        asked.append(request.headers["last-event-id"])
        if len(asked) <= len(answers):
            return httpx.Response(200, stream=Breaking(answers[len(asked) - 1]))
        return httpx.Response(200, content=event(3, "failed"))

    events: list[JobEvent] = []
    with Client("http://service", transport=httpx.MockTransport(answer)) as client:
        status = client.jobs.wait("f00", on_event=events.append)
    assert asked == ["0", "1", "2", "2"]
    assert [(e.id, e.kind, e.data["time"]) for e in events] == [
        (1, "queued", 1),
        (2, "running", 2),
        (3, "failed", 3),
    ]
    assert status == JobStatus("f00", "failed", 1, 0, 1, (), None, *STATUS["error"].values())


def test_events_come_in_any_pieces() -> None:
    told: list[JobEvent] = []
    reader = EventReader(told.append)
    text = b"retry: 2000\n\n" + event(1, "queued") + b": alive\n\n" + event(2, "done")
    for i in range(len(text)):
        reader.feed(text[i : i + 1])
    assert [e.kind for e in told] == ["queued", "done"]
    assert reader.ended


@pytest.mark.usefixtures("no_pauses")
def test_a_job_whose_answer_was_lost_is_sent_again_as_the_same(files: list[Path]) -> None:
    keys: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        keys.append(request.headers["idempotency-key"])
        if len(keys) < 3:
            raise httpx.ReadError("connection reset")
        return httpx.Response(202, content=json.dumps(STATUS))

    with Client("http://service", transport=httpx.MockTransport(answer)) as client:
        assert client.jobs.create(files).id == "f00"
    assert len(keys) == 3
    assert len(set(keys)) == 1


def test_a_name_may_hold_what_ends_a_line_of_text() -> None:
    events: list[JobEvent] = []
    data = json.dumps({"name": "a\u2028b\x85c.jpg"}, ensure_ascii=False)
    EventReader(events.append).feed(f"id: 1\nevent: file\ndata: {data}\n\n".encode())
    assert [event.data["name"] for event in events] == ["a\u2028b\x85c.jpg"]

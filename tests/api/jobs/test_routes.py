"""Jobs over HTTP: their life from the upload to the result, and whatever is refused."""

import asyncio
import io
import json
import os
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from serve_app.api.jobs.events import Progress, read_progress
from serve_app.api.jobs.storage import JobStorage
from serve_app.api.service import LocalMatting
from serve_app.engines.fake import FakeEngine
from serve_app.options import Options
from serve_app.settings import Settings
from serve_app.types import Result, Upload
from tests.api.conftest import serving
from tests.api.jobs.conftest import KEYS, caller, ended, images, square

URL = "/v1/jobs"


def made(client: httpx.Client, *files: tuple[str, bytes], **more: Any) -> dict[str, Any]:
    response = client.post(URL, files=images(*files), **more)
    assert response.status_code == 202, response.text
    status = response.json()
    assert response.headers["location"] == status["status_url"] == f"{URL}/{status['id']}"
    return status


def unzipped(response: httpx.Response) -> tuple[zipfile.ZipFile, list[dict[str, Any]]]:
    assert response.status_code == 200, response.text
    archive = zipfile.ZipFile(io.BytesIO(response.content))
    assert archive.testzip() is None
    return archive, json.loads(archive.read("manifest.json"))["files"]


def folders(storage: Path) -> set[str]:
    return {path.name for path in storage.iterdir()}


def code(response: httpx.Response) -> tuple[int, str]:
    assert response.headers["content-type"] == "application/problem+json"
    return response.status_code, response.json()["code"]


def test_from_upload_to_result(client: httpx.Client, storage: Path) -> None:
    files = [("a.png", square(120)), ("b.png", b"no image"), ("a.png", square(140))]
    files += [("c.png", bytes(100_001))]
    status = ended(client, made(client, *files)["status_url"])
    assert status["state"] == "done"
    assert status["files"] == {"total": 4, "done": 2, "failed": 2, "waiting": 0}
    assert [(e["index"], e["name"], e["code"]) for e in status["errors"]] == [
        (1, "b.png", "unsupported_format"),
        (3, "c.png", "file_too_large"),
    ]
    assert status["created"] < status["finished"] < status["expires"]

    response = client.get(status["result_url"])
    archive, listed = unzipped(response)
    assert archive.namelist() == ["a.png", "a-2.png", "manifest.json"]
    for name, red in (("a.png", 120), ("a-2.png", 140)):
        assert Image.open(archive.open(name)).getpixel((3, 3))[3] == red
    assert [entry["output"] for entry in listed] == ["a.png", None, "a-2.png", None]
    assert listed[0]["bytes"] == archive.getinfo("a.png").file_size

    part = client.get(status["result_url"], headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, response.content[10:20])
    left = {path.name for path in (storage / status["id"]).iterdir()}
    assert not left & {"inputs", "results", "background"}


def test_options_and_a_background_hold_for_all(client: httpx.Client) -> None:
    blue = Image.new("RGB", (8, 8), (0, 0, 255))
    body = io.BytesIO()
    blue.save(body, "PNG")
    parts = [("background_image", ("b.png", body.getvalue())), *images(("a.png", square(0)))]
    response = client.post(f"{URL}?format=webp&quality=100", files=parts)
    status = ended(client, response.json()["status_url"])
    archive, _ = unzipped(client.get(status["result_url"]))
    pixel = Image.open(archive.open("a.webp")).convert("RGB").getpixel((3, 3))
    assert pixel[2] > 240
    assert pixel[0] < 20


def sent_events(response: httpx.Response) -> list[tuple[int, str, dict[str, Any]]]:
    assert response.headers["content-type"].startswith("text/event-stream")
    events = []
    for block in response.text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if "event" in fields:
            events.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
    return events


def test_head_of_events_ends_at_once(
    make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    settings = make_settings(jobs={"storage": str(tmp_path)})
    with serving(settings, Slow(FakeEngine(), settings)) as url, caller(url) as client:
        status = made(client, *[("a.png", square(9))] * 60)
        head = client.head(status["events_url"])
        assert head.headers["content-type"].startswith("text/event-stream")
        # On the same connection, which a stream that nobody reads would hold up to the job's end.
        assert client.get(status["status_url"]).json()["state"] in ("queued", "running")
        client.delete(status["status_url"])


def test_events_go_on_where_the_client_left_off(client: httpx.Client) -> None:
    status = made(client, ("a.png", square(1)), ("b.png", b"no image"))
    events = sent_events(client.get(status["events_url"]))  # up to the job's end
    assert [kind for _, kind, _ in events] == ["queued", "running", "file", "file", "done"]
    told = sorted((data["index"], data["status"]) for _, kind, data in events if kind == "file")
    assert told == [(0, "done"), (1, "failed")]

    second = events[1][0]
    again = client.get(status["events_url"], headers={"Last-Event-ID": str(second)})
    assert sent_events(again) == events[2:]
    last = {"Last-Event-ID": str(events[-1][0])}
    assert client.get(status["events_url"], headers=last).status_code == 204
    bad = client.get(status["events_url"], headers={"Last-Event-ID": "x"})
    assert code(bad) == (400, "invalid_option")


def test_the_same_key_is_the_same_job(client: httpx.Client) -> None:
    key = {"Idempotency-Key": "order-17"}
    first = made(client, ("a.png", square(1)), headers=key)
    again = client.post(URL, files=images(("a.png", square(1))), headers=key)
    assert (again.status_code, again.json()["id"]) == (202, first["id"])
    assert again.headers["idempotency-replayed"] == "true"
    for files, query in ([("a.png", square(2))], ""), ([("a.png", square(1))], "?erode=1"):
        other = client.post(URL + query, files=images(*files), headers=key)
        assert code(other) == (409, "idempotency_conflict")
    with caller(str(client.base_url), KEYS[1]) as stranger:
        assert made(stranger, ("a.png", square(2)), headers=key)["id"] != first["id"]
    assert client.delete(first["status_url"]).status_code == 204
    for red in (1, 2):  # what still works on it must not find another job in its place
        gone = client.post(URL, files=images(("a.png", square(red))), headers=key)
        assert code(gone) in ((410, "job_expired"), (409, "idempotency_conflict"))


@pytest.mark.parametrize("key", ["", "a b", "ü".encode(), "a" * 256])
def test_a_bad_key_is_refused(client: httpx.Client, key: str) -> None:
    response = client.post(URL, files=images(("a", b"")), headers={"Idempotency-Key": key})
    assert code(response) == (400, "invalid_idempotency_key")


def test_a_job_belongs_to_its_key(client: httpx.Client) -> None:
    status = made(client, ("a.png", square(1)))
    ended(client, status["status_url"])
    paths = [status["status_url"], status["events_url"], f"{status['status_url']}/result"]
    for key, expected in ((KEYS[1], (404, "not_found")), ("wrong", (403, "auth_failed"))):
        with caller(str(client.base_url), key) as stranger:
            for path in paths:
                assert code(stranger.get(path)) == expected
            assert code(stranger.delete(paths[0])) == expected
    with caller(str(client.base_url), "wrong") as stranger:
        assert code(stranger.post(URL, files=images(("a.png", b"")))) == (403, "auth_failed")
    assert client.get(paths[0]).status_code == 200


@pytest.mark.parametrize("id", ["0" * 32, "x", ".new-1", "%2e%2e", "A" * 32])
def test_an_unknown_job(client: httpx.Client, id: str) -> None:
    assert code(client.get(f"{URL}/{id}"))[0] == 404
    assert code(client.delete(f"{URL}/{id}"))[0] == 404
    assert code(client.get(f"{URL}/{id}/result"))[0] == 404


class Slow(LocalMatting):
    async def matte(self, upload: Upload, options: Options) -> Result:
        await asyncio.sleep(1)
        return await super().matte(upload, options)


def test_a_deleted_job_is_gone(make_settings: Callable[..., Settings], tmp_path: Path) -> None:
    settings = make_settings(jobs={"storage": str(tmp_path)})
    slow = Slow(FakeEngine(), settings)
    with serving(settings, slow) as url, caller(url) as client:
        status = made(client, *((f"{i}.png", square(i)) for i in range(100)))
        early = client.get(f"{status['status_url']}/result")
        assert code(early) == (409, "job_unfinished")
        assert early.headers["retry-after"].isdecimal()
        assert client.delete(status["status_url"]).status_code == 204
        assert code(client.get(status["status_url"])) == (410, "job_expired")
    assert folders(tmp_path / status["id"]) == {"job.json", "expired"}


def test_a_job_deleted_by_several_at_once(tmp_path: Path) -> None:
    storage = JobStorage(tmp_path, keep_s=60)
    for number in range(20):
        draft = storage.draft()
        draft.results.mkdir()
        (draft.path / "job.json").write_text("{}")
        job = storage.publish(draft, f"{number:032x}")
        assert job is not None
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(storage.delete, [job] * 8))
        assert folders(job.path) == {"job.json", "expired"}
    assert not [name for name in folders(tmp_path) if name.startswith(".")]


def test_several_replicas_empty_what_is_past_its_time(tmp_path: Path) -> None:
    storages = [JobStorage(tmp_path, keep_s=60) for _ in range(4)]
    for number in range(30):
        folder = tmp_path / f"{number:032x}"
        (folder / "results").mkdir(parents=True)
        for name in ("job.json", "settled", "events.jsonl", "result.zip"):
            (folder / name).touch()
        os.utime(folder / "settled", (0, 0))
    with ThreadPoolExecutor(len(storages)) as pool:
        list(pool.map(JobStorage.clean, storages))
    for folder in storages[0].jobs():
        assert folders(folder.path) == {"job.json", "settled", "expired"}


@pytest.mark.parametrize(
    ("what", "file"),
    [("events", "events.jsonl"), ("result", "events.jsonl"), ("result", "result.zip")],
)
def test_a_job_deleted_between_two_looks_at_it(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch, what: str, file: str
) -> None:
    status = made(client, ("a.png", square(1)))
    ended(client, status["status_url"])

    def read_and_delete(path: Path) -> Progress:
        progress = read_progress(path)
        path.with_name(file).unlink(missing_ok=True)
        return progress

    monkeypatch.setattr("serve_app.api.jobs.routes.read_progress", read_and_delete)
    assert code(client.get(f"{status['status_url']}/{what}")) == (404, "not_found")


REFUSED: list[tuple[dict[str, Any], tuple[int, str]]] = [
    ({"files": images(*[("a.png", b"")] * 4)}, (400, "invalid_request")),
    ({"files": [("erode", (None, "9")), *images(("a.png", b""))]}, (400, "invalid_option")),
    ({"files": [("colour", (None, "red")), *images(("a.png", b""))]}, (400, "invalid_option")),
    ({"files": [*images(("a.png", b"")), ("erode", (None, "1"))]}, (400, "invalid_option")),
    ({"files": [("erode", (None, "1"))]}, (400, "missing_image")),
    ({"content": b"image"}, (400, "missing_image")),
    ({"files": images(*[("a.png", bytes(90_000))] * 2)}, (413, "file_too_large")),
    (
        {"files": [("webhook", (None, "http://127.0.0.1/")), *images(("a.png", b""))]},
        (400, "url_not_allowed"),
    ),
    (
        {"files": [("manifest", (None, "http://127.0.0.1/")), *images(("a.png", b""))]},
        (400, "invalid_option"),
    ),
    ({"files": [("manifest", (None, "http://127.0.0.1/"))]}, (400, "url_not_allowed")),
]


@pytest.mark.parametrize(("request_", "expected"), REFUSED)
def test_a_refused_job_leaves_nothing(
    make_settings: Callable[..., Settings],
    tmp_path: Path,
    request_: dict[str, Any],
    expected: tuple[int, str],
) -> None:
    few = {"storage": str(tmp_path), "max_files": 3, "max_bytes": 150_000}
    with serving(make_settings(jobs=few)) as url, caller(url) as client:
        assert code(client.post(URL, **request_)) == expected
    assert folders(tmp_path) == set()


def test_webhooks_need_a_secret(make_settings: Callable[..., Settings], photo_host: str) -> None:
    with serving(make_settings(jobs={"webhook_secret": ""})) as url, caller(url) as client:
        files = [("webhook", (None, photo_host)), *images(("a.png", b""))]
        assert code(client.post(URL, files=files)) == (400, "url_not_allowed")


def test_a_full_disk(make_settings: Callable[..., Settings], tmp_path: Path) -> None:
    full = {"storage": str(tmp_path), "min_free_bytes": 2**60}
    with serving(make_settings(jobs=full)) as url, caller(url) as client:
        response = client.post(URL, files=images(("a.png", square(1))))
        assert code(response) == (507, "storage_full")
    assert folders(tmp_path) == set()


def test_a_disk_that_fills_up_during_the_upload(
    make_settings: Callable[..., Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = iter([10_000, 5_000, 10])
    monkeypatch.setattr("serve_app.api.jobs.storage.JobStorage.free_bytes", lambda _: next(free, 0))
    little = {"storage": str(tmp_path), "min_free_bytes": 1000}
    with serving(make_settings(jobs=little)) as url, caller(url) as client:
        files = images(("a.png", square(1)), ("b.png", square(2)))
        assert code(client.post(URL, files=files)) == (507, "storage_full")
    assert folders(tmp_path) == set()


def test_a_storage_that_cannot_be_written(
    make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    nowhere = {"storage": str(tmp_path / "file" / "jobs")}
    with serving(make_settings(jobs=nowhere)) as url, caller(url) as client:
        response = client.post(URL, files=images(("a.png", square(1))))
        assert code(response) == (507, "storage_full")


def test_too_many_unfinished_jobs(make_settings: Callable[..., Settings], tmp_path: Path) -> None:
    one = {"storage": str(tmp_path), "max_waiting": 1}
    with serving(make_settings(jobs=one)) as url, caller(url) as client:
        (tmp_path / ("0" * 32)).mkdir(parents=True)
        response = client.post(URL, files=images(("a.png", square(1))))
        assert code(response) == (503, "overloaded")
        assert response.headers["retry-after"].isdecimal()


def test_an_expired_job(client: httpx.Client, make_settings: Callable[..., Settings]) -> None:
    status = made(client, ("a.png", square(1)), headers={"Idempotency-Key": "old"})
    ended(client, status["status_url"])
    with serving(make_settings(jobs={"keep_s": 0.5})) as url, caller(url) as other:
        time.sleep(0.6)
        assert code(other.get(status["status_url"])) == (410, "job_expired")
        assert code(other.get(f"{status['status_url']}/result")) == (410, "job_expired")
        again = other.post(
            URL, files=images(("a.png", square(1))), headers={"Idempotency-Key": "old"}
        )
        assert code(again) == (410, "job_expired")


def test_what_is_expired_is_emptied_and_then_forgotten(
    make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    jobs = {"storage": str(tmp_path), "lease_s": 0.3}
    with serving(make_settings(jobs=jobs)) as url, caller(url) as client:
        status = made(client, ("a.png", square(1)))
        ended(client, status["status_url"])
        folder = tmp_path / status["id"]
        wait_for((folder / "settled").exists)
        long_ago = time.time() - 1e6
        os.utime(folder / "settled", (long_ago, long_ago))
        wait_for(lambda: {p.name for p in folder.iterdir()} == {"job.json", "expired", "settled"})
        assert code(client.get(status["status_url"])) == (410, "job_expired")
        os.utime(folder / "expired", (long_ago, long_ago))
        wait_for(lambda: not folder.exists())
        assert code(client.get(status["status_url"])) == (404, "not_found")


def wait_for(condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
    until = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_requests_are_limited(make_settings: Callable[..., Settings], tmp_path: Path) -> None:
    settings = make_settings(access={"requests_per_minute": 1}, jobs={"storage": str(tmp_path)})
    with serving(settings) as url, caller(url) as client:
        codes = [client.post(URL, files=images(("a.png", square(1)))).status_code for _ in "123"]
        assert codes.count(429) >= 1

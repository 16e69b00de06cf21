"""A replica that dies loses nothing: another one goes on, and no image is done twice."""

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from serve_app.settings import ROOT
from tests.api.jobs.conftest import KEYS, SECRET, caller, ended, images, square

IMAGES = 24

# A replica whose images take their time, and that notes each one that it has begun.
REPLICA = """
import asyncio, json, os, sys
import uvicorn
from serve_app.api.app import build_api
from serve_app.api.service import LocalMatting
from serve_app.engines.fake import FakeEngine
from serve_app.options import load_presets
from serve_app.settings import parse_settings, resolve_path

settings = parse_settings(json.loads(sys.argv[1]))

class Slow(LocalMatting):
    async def matte(self, upload, options):
        await asyncio.sleep(0.15)
        return await super().matte(upload, options)

presets = load_presets(resolve_path(settings.presets_path))
app = build_api(Slow(FakeEngine(), settings), settings, presets)
config = uvicorn.Config(app, port=0, ws="none", lifespan="on", log_level="error")
server = uvicorn.Server(config)

async def main():
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    print(server.servers[0].sockets[0].getsockname()[1], flush=True)
    await serving

asyncio.run(main())
"""


@contextmanager
def replica(storage: Path) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """A process of its own on the storage; gives it and its base URL."""
    jobs = {"storage": str(storage), "lease_s": 3.0, "min_free_bytes": 0, "concurrency": 2}
    settings = json.dumps({"jobs": {**jobs, "webhook_secret": SECRET}})
    process = subprocess.Popen(
        [sys.executable, "-c", REPLICA, settings],
        cwd=ROOT,
        env={**os.environ, "CVUNET_API_KEYS": KEYS[0], "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield process, f"http://127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def done(client: httpx.Client, url: str) -> int:
    count: int = client.get(url).json()["files"]["done"]
    return count


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_another_replica_goes_on(tmp_path: Path, end: signal.Signals) -> None:
    with replica(tmp_path) as (first, first_url), replica(tmp_path) as (_, second_url):
        with caller(first_url) as client:
            files = [(f"{i}.png", square(100 + i)) for i in range(IMAGES)]
            status = client.post("/v1/jobs", files=images(*files)).json()
        with caller(second_url) as client:
            while done(client, status["status_url"]) < 3:
                time.sleep(0.02)
            first.send_signal(end)
            first.wait(30)
            before = done(client, status["status_url"])
            assert before < IMAGES
            status = ended(client, status["status_url"])
            assert status["files"] == {"total": IMAGES, "done": IMAGES, "failed": 0, "waiting": 0}
            events = client.get(status["events_url"]).text
            body = client.get(status["result_url"]).content

    assert events.count("event: file\n") == IMAGES
    result = tmp_path / "result.zip"
    result.write_bytes(body)
    with zipfile.ZipFile(result) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [*(f"{i}.png" for i in range(IMAGES)), "manifest.json"]
        listed = json.loads(archive.read("manifest.json"))["files"]
    assert [entry["status"] for entry in listed] == ["done"] * IMAGES


def test_a_draft_whose_replica_died_is_cleared_away(tmp_path: Path) -> None:
    draft = tmp_path / (".new-" + "0" * 32)
    draft.mkdir()
    (draft / "lease.1").write_text("7")
    (draft / "inputs").write_bytes(b"half an upload")
    with replica(tmp_path):
        until = time.monotonic() + 60
        while draft.exists():
            assert time.monotonic() < until
            time.sleep(0.1)

"""Who finds what is to be done, and when."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from serve_app.api.jobs.runner import Runner
from serve_app.api.jobs.storage import JobFolder, JobStorage
from serve_app.settings import Settings
from tests.api.conftest import serving
from tests.api.jobs.conftest import caller, ended, images, square


class LateStorage(JobStorage):
    """Has one more job, told of at once, just after it was first looked at."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, keep_s=60)
        self.tell: Callable[[], object] = lambda: None
        self._looks = 0

    def jobs(self) -> list[JobFolder]:
        found = super().jobs()
        self._looks += 1
        if self._looks == 2:  # the first one was for what is past its time
            draft = self.draft()
            (draft.path / "lease.1").write_text("released")
            self.publish(draft, "0" * 32)
            self.tell()
            time.sleep(0.1)  # until it is heard
        return found


class Noting:
    """Notes what is to be worked on."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()

    async def run(self, folder: JobFolder, turn: int) -> None:
        self.begun.set()

    async def tell(self, folder: JobFolder) -> None:
        folder.settle()


def test_a_job_that_comes_while_the_storage_is_looked_at_waits_for_nothing(tmp_path: Path) -> None:
    async def run() -> None:
        storage, work = LateStorage(tmp_path), Noting()
        runner = Runner(storage, work, lease_s=60)  # type: ignore[arg-type]
        loop = asyncio.get_running_loop()
        storage.tell = lambda: loop.call_soon_threadsafe(runner.look_now)
        runner.start()
        try:
            async with asyncio.timeout(10):  # by itself it looks every 20 s
                await work.begun.wait()
        finally:
            await runner.stop()

    asyncio.run(run())


def test_an_upload_is_not_taken_for_one_that_was_left(
    make_settings: Callable[..., Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another replica looks for work between the end of an upload and the rename to a job."""
    other = Runner(JobStorage(tmp_path, keep_s=60), Noting(), lease_s=60)  # type: ignore[arg-type]
    publish = JobStorage.publish

    def look_and_publish(storage: JobStorage, draft: JobFolder, id: str) -> JobFolder | None:
        other._claim()
        return publish(storage, draft, id)

    monkeypatch.setattr(JobStorage, "publish", look_and_publish)
    with serving(make_settings(jobs={"storage": str(tmp_path)})) as url, caller(url) as client:
        response = client.post("/v1/jobs", files=images(("a.png", square(200))))
        assert response.status_code == 202, response.text
        assert ended(client, response.headers["location"])["state"] == "done"

"""The work on one job by the replica whose turn it is: from what is committed to the end.

Every step may be the last one that this replica takes, and each can be taken again by the next.
"""

import asyncio
import logging
import time
from collections.abc import Iterator
from typing import Any

from serve_app.api.jobs.events import ENDS, append_event, end_torn_line, read_progress
from serve_app.api.jobs.results import Outcome, commit, committed, make_zip, outcome_of
from serve_app.api.jobs.status import status_json
from serve_app.api.jobs.storage import Job, JobFile, JobFolder
from serve_app.api.jobs.webhook import Webhooks
from serve_app.api.problems import internal_error
from serve_app.api.receiving import too_large
from serve_app.api.remote import Remote
from serve_app.api.service import Matting
from serve_app.errors import (
    DeadlineExceeded,
    DownloadFailed,
    DownloadTimeout,
    MattingError,
    RetryLater,
)
from serve_app.options import Options
from serve_app.settings import Settings
from serve_app.types import Result, Upload

logger = logging.getLogger("ray.serve.cvunet")

_TRIES = 3  # for what may pass: a slow or absent host, a deadline
_PATIENCE_S = 3600.0  # with a service that is too busy, for one image
_MAX_DELAY_S = 30.0
_MAX_TURNS = 50  # replicas that a job may outlive


class JobWork:
    """What a replica has for the work on jobs."""

    def __init__(
        self, matting: Matting, remote: Remote, webhooks: Webhooks, settings: Settings
    ) -> None:
        self._matting = matting
        self._remote = remote
        self._webhooks = webhooks
        self._max_bytes = settings.limits.max_bytes
        self._keep_s = settings.jobs.keep_s
        self._concurrency = settings.jobs.concurrency
        self._places = asyncio.Semaphore(self._concurrency)  # of all jobs here together

    async def run(self, folder: JobFolder, turn: int) -> None:
        """Do all images of a job. Raises OSError where its folder cannot be written."""
        job = await asyncio.to_thread(folder.job)
        await asyncio.to_thread(end_torn_line, folder.events)
        progress = await asyncio.to_thread(read_progress, folder.events)
        if progress.state not in ENDS:
            await self._finish(folder, job, turn, progress.told)
        await asyncio.to_thread(folder.drop_inputs)

    async def tell(self, folder: JobFolder) -> None:
        """Tell of a job's end whoever wants to know; nothing is left to do then. Raises OSError."""
        job = await asyncio.to_thread(folder.job)
        if job.webhook:
            body = await asyncio.to_thread(status_json, folder, job, self._keep_s)
            await self._webhooks.tell(job.webhook, job.id, body)
        await asyncio.to_thread(folder.settle)

    async def _finish(self, folder: JobFolder, job: Job, turn: int, told: set[int]) -> None:
        await asyncio.to_thread(append_event, folder.events, "running", {"turn": turn})
        if turn > _MAX_TURNS:
            error = {"code": "internal_error", "detail": "every replica that tried it has died"}
            await asyncio.to_thread(append_event, folder.events, "failed", error)
            return
        if not folder.result.exists():
            await self._matte_all(folder, job, told)
            await asyncio.to_thread(make_zip, folder, job)
        await asyncio.to_thread(append_event, folder.events, "done", {"files": job.total})

    async def _matte_all(self, folder: JobFolder, job: Job, told: set[int]) -> None:
        """Matte what has no result yet, and tell of those that a dead replica could not."""
        there = await asyncio.to_thread(committed, folder)
        for index in sorted(there - told):
            outcome = await asyncio.to_thread(outcome_of, folder, index)
            await self._tell(folder, index, outcome)
        files = await asyncio.to_thread(folder.files)
        background = await asyncio.to_thread(folder.background)
        left = iter([(index, file) for index, file in enumerate(files) if index not in there])
        async with asyncio.TaskGroup() as workers:
            for _ in range(self._concurrency):
                workers.create_task(self._worker(folder, job, background, left))

    async def _worker(
        self,
        folder: JobFolder,
        job: Job,
        background: bytes | None,
        left: Iterator[tuple[int, JobFile]],
    ) -> None:
        for index, file in left:
            async with self._places:
                outcome, body = await self._outcome(folder, job, background, file)
            outcome = await asyncio.to_thread(commit, folder, index, outcome, body)
            del body
            await self._tell(folder, index, outcome)

    async def _outcome(
        self, folder: JobFolder, job: Job, background: bytes | None, file: JobFile
    ) -> tuple[Outcome, bytes]:
        if file.code:  # a bad row of the manifest
            return _failure(file.name, file.code, file.detail), b""
        try:
            result = await self._matte(folder, job, background, file)
        except MattingError as exc:
            return _failure(file.name, exc.code, exc.detail), b""
        except OSError:
            raise  # the job's folder
        except Exception:
            logger.exception("image failed", extra={"matting_request_id": job.request_id})
            error = internal_error(job.request_id)
            return _failure(file.name, error.code, error.detail), b""
        height, width = result.size
        outcome = {
            "name": file.name,
            "status": "done",
            "media_type": result.media_type,
            "bytes": len(result.body),
            "width": width,
            "height": height,
        }
        return outcome, result.body

    async def _matte(
        self, folder: JobFolder, job: Job, background: bytes | None, file: JobFile
    ) -> Result:
        if file.size > self._max_bytes:
            raise too_large(file.size, self._max_bytes)
        options = Options(**(file.options or job.options))
        patience = _Patience()
        while True:
            try:
                if file.uri:
                    image = await self._remote.fetch(file.uri)
                else:
                    image = await asyncio.to_thread(folder.input, file)
                return await self._matting.matte(Upload(image, background), options)
            except (RetryLater, DeadlineExceeded, DownloadFailed, DownloadTimeout) as exc:
                await patience.wait(exc)

    async def _tell(self, folder: JobFolder, index: int, outcome: Outcome) -> None:
        data = {"index": index, **outcome}
        await asyncio.to_thread(append_event, folder.events, "file", data)


class _Patience:
    """How often and how long one image is tried."""

    def __init__(self) -> None:
        self._tries = 0
        self._until = time.monotonic() + _PATIENCE_S

    async def wait(self, exc: MattingError) -> None:
        """Wait before the next try, longer each time; raises `exc` where there is none."""
        self._tries += 1
        if isinstance(exc, RetryLater):
            if time.monotonic() > self._until:
                raise exc
            least = float(exc.retry_after)
        else:
            if self._tries >= _TRIES:
                raise exc
            least = 1.0
        await asyncio.sleep(min(_MAX_DELAY_S, least * 2.0 ** min(self._tries - 1, 10)))


def _failure(name: str, code: str, detail: str) -> dict[str, Any]:
    return {"name": name, "status": "failed", "code": code, "detail": detail}

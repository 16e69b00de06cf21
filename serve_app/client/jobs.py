"""`client.jobs`: send many images, leave, come back; sync and async."""

import secrets
from collections.abc import Callable, Iterable
from pathlib import Path

from serve_app.client.events import JobEvent
from serve_app.client.flow import AsyncRun, Flow, Run
from serve_app.client.job_calls import (
    JobStatus,
    created,
    deleted,
    downloaded,
    status_of,
    waited,
)
from serve_app.client.wire import OptionValue

OnEvent = Callable[[JobEvent], object]


class Jobs:
    """The jobs of a service."""

    def __init__(self, run: Run, tries: int) -> None:
        self._run = run
        self._tries = tries

    def create(
        self,
        images: Iterable[Path | str] = (),
        *,
        manifest: str | None = None,
        webhook: str | None = None,
        idempotency_key: str | None = None,
        **options: OptionValue,
    ) -> JobStatus:
        """Send images, or the URL of a manifest that names them; back when the service has them.

        Args:
            images: files; each is read when its turn comes.
            manifest: URL of a CSV, in place of images.
            webhook: URL that is told of the job's end.
            idempotency_key: the same key with the same content is the same job, whoever sends it
                again; without one each call is a job of its own.
            options: as for `matte`.

        Raises:
            MattingError: what the service answered, or ServiceUnreachable.
        """
        return self._run(_create(images, manifest, webhook, idempotency_key, options, self._tries))

    def status(self, job: JobStatus | str) -> JobStatus:
        """How far a job is; a job is given as its status or its id."""
        return self._run(status_of(_id(job), self._tries))

    def wait(self, job: JobStatus | str, *, on_event: OnEvent | None = None) -> JobStatus:
        """Wait until a job has ended, done or failed; `on_event` is told what happens till then."""
        return self._run(waited(_id(job), on_event, self._tries))

    def download(self, job: JobStatus | str, path: Path | str) -> Path:
        """Save the ZIP of a job that is done.

        A download that breaks off goes on where it was, in this call or in a later one: until it
        is whole it lies beside `path`, as `.part`.

        Raises:
            JobUnfinished: it is not done yet: `wait` for it.
        """
        return self._run(downloaded(_id(job), Path(path), self._tries))

    def delete(self, job: JobStatus | str) -> None:
        """Have the service forget a job and all its files."""
        self._run(deleted(_id(job), self._tries))


class AsyncJobs:
    """The same for asyncio; `on_event` is called in a thread."""

    def __init__(self, run: AsyncRun, tries: int) -> None:
        self._run = run
        self._tries = tries

    async def create(
        self,
        images: Iterable[Path | str] = (),
        *,
        manifest: str | None = None,
        webhook: str | None = None,
        idempotency_key: str | None = None,
        **options: OptionValue,
    ) -> JobStatus:
        """As `Jobs.create`."""
        return await self._run(
            _create(images, manifest, webhook, idempotency_key, options, self._tries)
        )

    async def status(self, job: JobStatus | str) -> JobStatus:
        """As `Jobs.status`."""
        return await self._run(status_of(_id(job), self._tries))

    async def wait(self, job: JobStatus | str, *, on_event: OnEvent | None = None) -> JobStatus:
        """As `Jobs.wait`."""
        return await self._run(waited(_id(job), on_event, self._tries))

    async def download(self, job: JobStatus | str, path: Path | str) -> Path:
        """As `Jobs.download`."""
        return await self._run(downloaded(_id(job), Path(path), self._tries))

    async def delete(self, job: JobStatus | str) -> None:
        """As `Jobs.delete`."""
        await self._run(deleted(_id(job), self._tries))


def _create(
    images: Iterable[Path | str],
    manifest: str | None,
    webhook: str | None,
    key: str | None,
    options: dict[str, OptionValue],
    tries: int,
) -> Flow[JobStatus]:
    own = {"manifest": manifest, "webhook": webhook}
    fields = options | {name: url for name, url in own.items() if url is not None}
    return created([Path(image) for image in images], fields, key or secrets.token_hex(16), tries)


def _id(job: JobStatus | str) -> str:
    return job if isinstance(job, str) else job.id

"""Looking for jobs that nobody works on, in every replica, and taking them in turn."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from serve_app.api.jobs.keeping import LeaseLost, kept
from serve_app.api.jobs.lease import Lease, LeaseWatch
from serve_app.api.jobs.storage import JobFolder, JobStorage
from serve_app.api.jobs.work import JobWork

logger = logging.getLogger("ray.serve.cvunet")

# At work in one replica at once: a long job must not stop all others, nor must one that is done and
# whose webhook nobody takes.
_MAX_JOBS = 4
_LOOKS = 3  # in the time after which a lease runs out
_AGAIN_S = 30.0  # after the storage refused to be written


class Runner:
    """Works on jobs in the background of one replica."""

    def __init__(self, storage: JobStorage, work: JobWork, lease_s: float) -> None:
        self._storage = storage
        self._work = work
        self._lease_s = lease_s
        self._watch = LeaseWatch(lease_s)
        self._jobs: dict[str, asyncio.Task[None]] = {}
        self._done: set[str] = set()  # of these, all but the webhook
        self._looking: asyncio.Task[None] | None = None
        self._news = asyncio.Event()

    def start(self) -> None:
        """Begin to look for work, if that has not begun yet."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())

    def look_now(self) -> None:
        """There is a new job."""
        self._news.set()

    async def stop(self) -> None:
        """Let others go on at once with what is at work here."""
        tasks = [*self._jobs.values(), *([self._looking] if self._looking else [])]
        self._looking = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _look(self) -> None:
        while True:
            self._news.clear()  # first: what comes while this looks may have come too late for it
            try:
                for folder, lease in await asyncio.to_thread(self._claim):
                    self._begin(folder, lease)
            except OSError:
                logger.exception("the jobs' storage cannot be read")
            try:
                async with asyncio.timeout(self._lease_s / _LOOKS):
                    await self._news.wait()
            except TimeoutError:
                continue

    def _claim(self) -> list[tuple[JobFolder, Lease]]:
        """Take what is free, the oldest first, and clear away what nobody needs."""
        self._storage.clean()
        waiting = [folder for folder in self._storage.jobs() if self._waits(folder)]
        drafts = self._storage.drafts()
        self._watch.forget({folder.path for folder in [*waiting, *drafts]})
        for draft in drafts:
            if self._watch.free_turn(draft.path):
                self._storage.remove(draft)
        claimed: list[tuple[JobFolder, Lease]] = []
        turns = [(folder, self._watch.free_turn(folder.path)) for folder in waiting]
        for folder, turn in sorted(turns, key=lambda pair: _created(pair[0])):
            at_work = len(self._jobs) - len(self._done) + len(claimed)
            if turn is None or at_work >= _MAX_JOBS:
                continue
            if lease := Lease.claim(folder.path, turn):
                claimed.append((folder, lease))
        return claimed

    def _waits(self, folder: JobFolder) -> bool:
        return folder.id not in self._jobs and not folder.is_settled and not folder.is_expired

    def _begin(self, folder: JobFolder, lease: Lease) -> None:
        task = asyncio.create_task(self._turn(folder, lease))
        self._jobs[folder.id] = task

        def end(_: asyncio.Task[None]) -> None:
            del self._jobs[folder.id]
            self._done.discard(folder.id)
            self._news.set()

        task.add_done_callback(end)

    async def _turn(self, folder: JobFolder, lease: Lease) -> None:
        try:
            async with kept(lease, self._lease_s):
                await self._insist(folder, lambda: self._work.run(folder, lease.number))
                self._done.add(folder.id)
                self._news.set()
                await self._insist(folder, lambda: self._work.tell(folder))
        except LeaseLost:
            logger.info("job went to another replica", extra={"job": folder.id})
        except asyncio.CancelledError:
            lease.release()
            raise
        except Exception:
            logger.exception("job stopped", extra={"job": folder.id})

    async def _insist(self, folder: JobFolder, step: Callable[[], Awaitable[None]]) -> None:
        """Take a step with a job, again and again where its folder cannot be written as yet."""
        while await self._fails(folder, step):  # noqa: ASYNC110 - a disk has no event
            await asyncio.sleep(_AGAIN_S)

    async def _fails(self, folder: JobFolder, step: Callable[[], Awaitable[None]]) -> bool:
        """Whether the folder could not be written, though it is still there."""
        failed = False
        try:
            await step()
        except* OSError:
            failed = folder.is_there and not folder.is_expired
            if failed:
                logger.exception("job waits for its storage", extra={"job": folder.id})
        return failed


def _created(folder: JobFolder) -> float:
    try:
        return (folder.path / "job.json").stat().st_mtime
    except FileNotFoundError:
        return 0.0

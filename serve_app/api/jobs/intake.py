"""Taking in `POST /v1/jobs`: the upload goes to disk as it comes, and becomes a job when whole.

Whatever goes wrong before that leaves nothing behind; a replica that dies here leaves a draft,
which any other one removes once nobody renews its lease.
"""

import asyncio
import errno
import hashlib
import os
import re
import secrets
import time
from collections.abc import AsyncIterator
from typing import BinaryIO

from starlette.requests import Request

from serve_app.api.batch_form import BatchForm, BatchImage, Presets
from serve_app.api.jobs.events import append_event
from serve_app.api.jobs.keeping import kept
from serve_app.api.jobs.lease import Lease
from serve_app.api.jobs.manifest import read_manifest
from serve_app.api.jobs.storage import Job, JobFile, JobFolder, JobStorage
from serve_app.api.jobs.webhook import Webhooks
from serve_app.api.parts import Part, read_parts
from serve_app.api.receiving import receive_pieces
from serve_app.api.remote import Remote
from serve_app.errors import (
    FileTooLarge,
    IdempotencyConflict,
    InvalidIdempotencyKey,
    InvalidOption,
    Overloaded,
    StorageFull,
)
from serve_app.settings import Settings

_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_OWN = ("manifest", "webhook")  # fields that are no options of an image
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_CLOSED = (errno.EROFS, errno.EACCES, errno.ENOTDIR, errno.ENOENT)  # a folder not to be written
_RETRY_AFTER_S = 30


class Intake:
    """Turns requests into jobs."""

    def __init__(
        self,
        storage: JobStorage,
        settings: Settings,
        presets: Presets,
        remote: Remote,
        webhooks: Webhooks,
    ) -> None:
        self._storage = storage
        self._settings = settings
        self._presets = presets
        self._remote = remote
        self._webhooks = webhooks

    async def take(self, request: Request, owner: str) -> tuple[JobFolder, bool]:
        """Read a request and keep it; gives its job, and whether that was there already.

        Raises:
            InputError: something in it is wrong, or its idempotency key has another job.
            JobExpired: its idempotency key has a job that is past its time.
            StorageFull, Overloaded: no room for another job.
        """
        id = job_id(request.headers.get("idempotency-key"), owner)
        try:
            await asyncio.to_thread(self._check_room)
            job, folder = await self._keep_all(request, id, owner)
        except OSError as exc:
            if exc.errno in (*_FULL, *_CLOSED):
                raise _storage_full() from exc
            raise
        if folder is not None:
            return folder, False
        return await asyncio.to_thread(self._same_job, job), True

    async def _keep_all(
        self, request: Request, id: str, owner: str
    ) -> tuple[Job, JobFolder | None]:
        """Write a request down and make it a job; no folder where there is one of this id."""
        draft = await asyncio.to_thread(self._storage.draft)
        try:
            lease = await asyncio.to_thread(Lease.claim, draft.path, 1)
            assert lease is not None  # noqa: S101 - the folder is new, and ours
            async with kept(lease, self._settings.jobs.lease_s):
                job = await self._receive(request, draft, id, owner)
            return job, await asyncio.to_thread(self._publish, draft, id, lease)
        finally:  # nothing is there any more where it has become a job
            await asyncio.to_thread(self._storage.remove, draft)

    def _publish(self, draft: JobFolder, id: str, lease: Lease) -> JobFolder | None:
        folder = self._storage.publish(draft, id)
        if folder is not None:  # not before: a draft that is nobody's is removed
            Lease(folder.path, lease.number).release()
        return folder

    async def _receive(self, request: Request, draft: JobFolder, id: str, owner: str) -> Job:
        reading = _Reading(request, self._settings, self._presets)
        inputs = await asyncio.to_thread((draft.path / "inputs").open, "wb")
        try:
            async for image in reading.images(request):
                await asyncio.to_thread(self._keep, inputs, image, reading)
            await asyncio.to_thread(_flush, inputs)
        finally:
            await asyncio.to_thread(inputs.close)
        if reading.webhook:
            await self._webhooks.check(reading.webhook)
        files = await self._files(reading)
        job = Job(
            id,
            owner,
            reading.digest,
            time.time(),
            request.state.request_id,
            reading.webhook,
            request.scope.get("root_path", ""),
            reading.form.options().model_dump(),
            len(files),
        )
        await asyncio.to_thread(draft.write, job, files, reading.form.background)
        await asyncio.to_thread(append_event, draft.events, "queued", {"files": len(files)})
        request.state.log.update(job=id, images=len(files))
        return job

    async def _files(self, reading: "_Reading") -> list[JobFile]:
        if not reading.manifest:
            reading.form.check_end()
            return reading.files
        if reading.files:
            raise InvalidOption("a manifest and images in one job: send one of the two")
        data = await self._remote.fetch(reading.manifest)
        max_files = self._settings.jobs.max_files
        return await asyncio.to_thread(read_manifest, data, reading.form.options, max_files)

    def _keep(self, inputs: BinaryIO, image: BatchImage, reading: "_Reading") -> None:
        limit, offset = self._settings.jobs.max_bytes, inputs.tell()
        if offset + len(image.data) > limit:
            raise FileTooLarge(
                f"the job's files have over {limit:,} bytes, the limit: send the rest as another "
                "job"
            )
        self._check_free()
        inputs.write(image.data)
        reading.files.append(
            JobFile(image.name, offset=offset, length=len(image.data), size=image.size)
        )

    def _check_room(self) -> None:
        limit = self._settings.jobs.max_waiting
        if self._storage.waiting() >= limit:
            raise Overloaded(
                f"{limit} jobs are unfinished, the limit: try again when one is done",
                retry_after=_RETRY_AFTER_S,
            )
        self._check_free()

    def _check_free(self) -> None:
        if self._storage.free_bytes() < self._settings.jobs.min_free_bytes:
            raise _storage_full()

    def _same_job(self, job: Job) -> JobFolder:
        """The job that the idempotency key has already, where it is the same one."""
        folder = self._storage.find(job.id)
        if folder.job().digest != job.digest:
            raise IdempotencyConflict(
                "this Idempotency-Key belongs to a job with other content: send a new key for a "
                "new job"
            )
        return folder


class _Reading:
    """The parts of one upload in their order: fields, then images."""

    def __init__(self, request: Request, settings: Settings, presets: Presets) -> None:
        self._limits = settings.limits.model_copy(
            update={"max_batch_files": settings.jobs.max_files}
        )
        self._content_type = request.headers.get("content-type", "")
        self._hash = hashlib.sha256()
        self._own: dict[str, str] = {}
        pairs = request.query_params.multi_items()
        for name, value in pairs:
            self._note(name.encode(), value.encode())
            if name in _OWN:
                self._take_own(name, value)
        self.form = BatchForm([p for p in pairs if p[0] not in _OWN], presets, self._limits)
        self.files: list[JobFile] = []

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()

    @property
    def manifest(self) -> str:
        return self._own.get("manifest", "")

    @property
    def webhook(self) -> str:
        return self._own.get("webhook", "")

    async def images(self, request: Request) -> AsyncIterator[BatchImage]:
        pieces = receive_pieces(request.receive, self._limits)
        async for part in read_parts(self._content_type, pieces, self._limits.max_bytes):
            await asyncio.to_thread(self._note_part, part)
            if part.name in _OWN and not part.is_file:
                self._take_own(part.name, part.text)
            elif image := self.form.take(part):
                yield image

    def _take_own(self, name: str, value: str) -> None:
        if self._own.setdefault(name, value) != value:
            raise InvalidOption(f"'{name}' is given twice: give it once")

    def _note_part(self, part: Part) -> None:
        about = f"{part.name}\0{part.filename}\0{part.is_file}\0{part.size}"
        self._note(about.encode("utf-8", "surrogatepass"), part.data)

    def _note(self, *values: bytes) -> None:
        """Add to the digest; lengths first, so that no two contents read the same."""
        for value in values:
            self._hash.update(len(value).to_bytes(8, "big"))
            self._hash.update(value)


def job_id(key: str | None, owner: str) -> str:
    """An id that nobody can guess; with an idempotency key, the one that it always leads to."""
    if key is None:
        return secrets.token_hex(16)
    if not _KEY.fullmatch(key):
        raise InvalidIdempotencyKey(
            f"Idempotency-Key has {len(key)} characters or one that is not visible ASCII: send 1 "
            "to 255, such as a UUID"
        )
    return hashlib.sha256(f"{owner}\n{key}".encode()).hexdigest()[:32]


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _storage_full() -> StorageFull:
    return StorageFull(
        "there is no room left to keep the job, or none that may be written: try again later, send "
        "fewer files, or give jobs.storage another place"
    )

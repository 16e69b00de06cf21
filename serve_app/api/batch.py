"""`POST /v1/matting/batch`: many images in, one ZIP out, both at the same time.

    upload -> parts -> waiting on disk -> `batch_concurrency` at work -> ZIP in the upload's order

The upload is read as fast as it comes, up to a bound, since Serve would otherwise hold it in
memory; what waits for its turn lies on disk. An image takes a place before it is worked on and
gives it back once it stands in the ZIP, so memory is bounded however many images come. Options
stand in the query or in fields before the first image, since work begins with that one: a field
after it is an error, as is everything that stops the upload itself. Until the first entry is out
such an error is the answer; after that it stands in the manifest, beside what was done.
"""

import asyncio
import json
import logging
from dataclasses import dataclass, replace
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from serve_app.api.archive import OutputNames, StreamedZip
from serve_app.api.batch_form import BatchForm, BatchImage
from serve_app.api.disk_queue import DiskQueue
from serve_app.api.observer import Observer
from serve_app.api.parts import read_parts
from serve_app.api.problems import internal_error
from serve_app.api.receiving import receive_pieces, too_large
from serve_app.api.service import Matting
from serve_app.errors import MattingError, RetryLater
from serve_app.settings import Limits
from serve_app.types import Result, Upload

logger = logging.getLogger("ray.serve.cvunet")

_CHUNK = 65_536  # bytes sent at once
_TRIES = 20  # for an image that the service is too busy for


@dataclass(frozen=True, slots=True)
class _Entry:
    """An image on its way, at its place in the order of the upload."""

    name: str
    work: asyncio.Task[Result]


class BatchAnswer(Response):
    """Reads the request and writes the answer by itself, side by side."""

    def __init__(self, request: Request, form: BatchForm, matting: Matting, limits: Limits) -> None:
        self.background = None
        self._request_id: str = request.state.request_id
        self._log: dict[str, object] = request.state.log
        self._observer: Observer = request.state.observer
        self._content_type = request.headers.get("content-type", "")
        self._form = form
        self._matting = matting
        self._limits = limits
        self._places = asyncio.Semaphore(limits.batch_concurrency)
        self._images: asyncio.Queue[BatchImage | None] = asyncio.Queue()
        self._waiting = DiskQueue()  # their data
        self._taken = asyncio.Event()
        self._entries: asyncio.Queue[_Entry | None] = asyncio.Queue()
        self._zip = StreamedZip()
        self._names = OutputNames()
        self._files: list[dict[str, object]] = []  # of the manifest
        self._error: Exception | None = None  # what stopped the upload
        self._started = False  # the answer; from then on, errors go into the manifest
        self._finished = False
        self._broken = False  # the ZIP, by a full disk
        self._news = asyncio.Event()

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        tasks: list[asyncio.Task[Any]] = [
            asyncio.create_task(self._read(receive)),
            asyncio.create_task(self._start()),
            asyncio.create_task(self._collect()),
        ]
        try:
            await self._send(send)
        except ClientDisconnect:
            logger.info("client left", extra={"matting_request_id": self._request_id})
        finally:
            while not self._entries.empty():
                if entry := self._entries.get_nowait():
                    tasks.append(entry.work)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._zip.close()
            self._waiting.close()
            self._log["images"] = len(self._files)

    async def _read(self, receive: Receive) -> None:
        """Take the upload apart and let its images wait for their turn."""
        try:
            pieces = receive_pieces(receive, self._limits)
            parts = read_parts(self._content_type, pieces, self._limits.max_bytes)
            async for part in parts:
                if image := self._form.take(part):
                    await self._room()
                    self._waiting.put(image.data)
                    self._images.put_nowait(replace(image, data=b""))
            self._form.check_end()
        except Exception as exc:
            self._error = exc
            self._news.set()
        self._images.put_nowait(None)
        while not isinstance(self._error, ClientDisconnect):
            if (await receive())["type"] == "http.disconnect":
                self._error = ClientDisconnect()
        self._news.set()

    async def _room(self) -> None:
        """Wait, and let the upload wait, while too much lies on disk."""
        while self._waiting.size >= self._limits.max_batch_waiting_bytes:
            self._taken.clear()
            await self._taken.wait()

    async def _start(self) -> None:
        """Start the work on each image when a place is free."""
        while (image := await self._images.get()) is not None:
            await self._places.acquire()
            work = asyncio.create_task(self._take_and_matte(image))
            self._entries.put_nowait(_Entry(image.name, work))
            del work  # or it stays until the next image is here
        self._entries.put_nowait(None)

    async def _take_and_matte(self, image: BatchImage) -> Result:
        data = self._waiting.take()
        self._taken.set()
        return await self._matte(replace(image, data=data))

    async def _matte(self, image: BatchImage) -> Result:
        if image.size > self._limits.max_bytes:
            raise too_large(image.size, self._limits.max_bytes)
        upload = Upload(image.data, image.background)
        for _ in range(_TRIES):
            try:
                return await self._matting.matte(upload, image.options)
            except RetryLater as exc:
                self._observer.refused(exc.code)
                await asyncio.sleep(exc.retry_after)
        return await self._matting.matte(upload, image.options)

    async def _collect(self) -> None:
        """Put what is done into the ZIP; where that fails, the answer breaks off."""
        try:
            await self._collect_all()
        except Exception as exc:
            self._error, self._broken = exc, True
        self._news.set()

    async def _collect_all(self) -> None:
        """In the order of the upload; the manifest comes last."""
        while (entry := await self._entries.get()) is not None:
            try:
                result = await entry.work
            except Exception as exc:
                self._add_failure(entry.name, exc)
            else:
                self._add(entry.name, result)
                del result
            self._places.release()
            del entry  # or its image stays until the next one is here
            self._news.set()
        self._zip.add("manifest.json", self._manifest())
        self._zip.finish()
        self._finished = True

    def _add(self, name: str, result: Result) -> None:
        output = self._names.name(name, result.media_type)
        self._zip.add(output, result.body)
        height, width = result.size
        self._files.append(
            {
                "name": name,
                "output": output,
                "status": "done",
                "bytes": len(result.body),
                "width": width,
                "height": height,
            }
        )

    def _add_failure(self, name: str, exc: Exception) -> None:
        if not isinstance(exc, MattingError):
            logger.error(
                "image failed", exc_info=exc, extra={"matting_request_id": self._request_id}
            )
            exc = internal_error(self._request_id)
        self._observer.refused(exc.code)
        self._files.append({"name": name, "output": None, "status": "failed", **_told(exc)})

    def _manifest(self) -> bytes:
        manifest: dict[str, object] = {"request_id": self._request_id, "files": self._files}
        if isinstance(self._error, MattingError):
            self._observer.refused(self._error.code)
            manifest["error"] = _told(self._error)
        return json.dumps(manifest, ensure_ascii=False, indent=1).encode()

    async def _send(self, send: Send) -> None:
        chunk = await self._next_chunk()
        self._started = True
        headers = [
            (b"content-type", b"application/zip"),
            (b"content-disposition", b'attachment; filename="matting.zip"'),
            (b"x-accel-buffering", b"no"),  # a proxy that buffers would undo all of this
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        while chunk:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            chunk = await self._next_chunk()
        await send({"type": "http.response.body", "body": b""})

    async def _next_chunk(self) -> bytes:
        """Wait for bytes of the ZIP; empty at its end."""
        while True:
            if self._error is not None and self._ends_here():
                raise self._error
            if (chunk := self._zip.take(_CHUNK)) or self._finished:
                return chunk
            self._news.clear()
            await self._news.wait()

    def _ends_here(self) -> bool:
        """Whether the error ends the answer; once that has begun, ours stand in the manifest."""
        ours = isinstance(self._error, MattingError)
        return not ours or self._broken or not self._started


def _told(error: MattingError) -> dict[str, object]:
    return {"code": error.code, "detail": error.detail}

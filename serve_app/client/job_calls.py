"""What the calls about jobs send, and how they go on after a break."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from serve_app.client.events import EventReader, JobEvent
from serve_app.client.flow import Feed, Flow, Pause, Send, asked, backoff, insisted
from serve_app.client.wire import (
    BatchFile,
    OptionValue,
    ServiceUnreachable,
    batch_form,
    error_of,
    retry_delay,
)
from serve_app.errors import JobExpired

_JOBS = "/v1/jobs"
_PART_BEYOND = 416  # Range Not Satisfiable: there is nothing after what we have


@dataclass(frozen=True, slots=True)
class JobStatus:
    """How far a job is."""

    id: str
    state: str  # queued, running, then done or failed
    total: int  # images
    done: int
    waiting: int
    failed: tuple[BatchFile, ...]  # each with its code and detail
    expires: str | None  # ISO 8601; then its result is gone
    code: str = ""  # of what ended it as a whole, where it failed
    detail: str = ""

    @classmethod
    def of(cls, response: httpx.Response) -> "JobStatus":
        status: dict[str, Any] = response.json()
        files, error = status["files"], status.get("error", {})
        failed = (BatchFile(e["name"], None, e["code"], e["detail"]) for e in status["errors"])
        return cls(
            status["id"],
            status["state"],
            files["total"],
            files["done"],
            files["waiting"],
            tuple(failed),
            status["expires"],
            error.get("code", ""),
            error.get("detail", ""),
        )


def created(
    images: Sequence[Path], options: Mapping[str, OptionValue], key: str, tries: int
) -> Flow[JobStatus]:
    """Send a job. The key makes a second attempt the same job, so that one is safe."""

    def request() -> Send:
        content_type, body = batch_form(images, options)
        headers = {"Content-Type": content_type, "Idempotency-Key": key}
        return Send("POST", _JOBS, headers, content=body)

    return JobStatus.of((yield from insisted(request, tries)))


def status_of(id: str, tries: int) -> Flow[JobStatus]:
    return JobStatus.of((yield from insisted(lambda: Send("GET", f"{_JOBS}/{id}"), tries)))


def deleted(id: str, tries: int) -> Flow[None]:
    with suppress(JobExpired):  # the answer to an earlier attempt was lost, or it is past its time
        yield from insisted(lambda: Send("DELETE", f"{_JOBS}/{id}"), tries)


def waited(id: str, on_event: Callable[[JobEvent], object] | None, tries: int) -> Flow[JobStatus]:
    """Follow a job's events to their end; a stream that breaks goes on after its last event."""
    events = EventReader(on_event)

    @contextmanager
    def reader(_: httpx.Response) -> Iterator[Feed]:
        events.connected()
        yield events.feed

    attempt = 0  # without any news
    while not events.ended:
        before = events.last_id
        headers = {"Last-Event-ID": str(before)}
        try:
            response = yield from asked(
                lambda: Send("GET", f"{_JOBS}/{id}/events", headers, reader=reader),  # noqa: B023
                tries,
            )
            if response.status_code == httpx.codes.NO_CONTENT:
                break
            attempt = 0
        except ServiceUnreachable:
            attempt = attempt + 1 if events.last_id == before else 0
            if attempt >= tries:
                raise
            yield Pause(backoff(attempt))
    return (yield from status_of(id, tries))


def downloaded(id: str, path: Path, tries: int) -> Flow[Path]:
    """Save a job's result; what an earlier attempt, or an earlier run, has got of it is kept."""
    part = path.with_name(f"{path.name}.{id[:12]}.part")
    attempt = 0  # that brought nothing
    while True:
        before = _size(part)
        try:
            response = yield Send(
                "GET", f"{_JOBS}/{id}/result", _range(before), reader=lambda r: _saved(r, part)
            )
        except ServiceUnreachable:
            attempt = attempt + 1 if _size(part) == before else 0
            if attempt >= tries:
                raise
            yield Pause(backoff(attempt))
            continue
        if response.is_success or _is_whole(response, before):
            part.replace(path)
            return path
        delay = retry_delay(response, attempt)
        attempt += 1
        if response.status_code == _PART_BEYOND:
            part.unlink()
        elif delay is None or attempt >= tries:
            raise error_of(response)
        else:
            yield Pause(delay)


@contextmanager
def _saved(response: httpx.Response, part: Path) -> Iterator[Feed]:
    """Where the pieces of a result go: after what is there, unless it all comes anew."""
    goes_on = response.status_code == httpx.codes.PARTIAL_CONTENT
    with part.open("ab" if goes_on else "wb") as file:
        yield file.write


def _range(size: int) -> dict[str, str]:
    return {"Range": f"bytes={size}-"} if size else {}


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _is_whole(response: httpx.Response, size: int) -> bool:
    """Whether nothing was left to send, because all of it is here."""
    there = response.headers.get("content-range", "") == f"bytes */{size}"
    return response.status_code == _PART_BEYOND and there

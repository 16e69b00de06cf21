"""A job's events as server-sent events (HTML Living Standard, section 9.2)."""

import asyncio
import json
import time
from collections.abc import AsyncIterator

from starlette.requests import Request

from serve_app.api.jobs.events import ENDS, Event, EventReader
from serve_app.api.jobs.storage import JobFolder
from serve_app.errors import InvalidOption

_LOOK_S = 0.5
_ALIVE_S = 15.0  # a comment after so much silence: proxies end what says nothing
_LONGEST_S = 600.0  # then the client connects again and names the last event it has


def last_event_id(request: Request) -> int:
    """The last event that the client has, from the header that browsers send again; else 0.

    Raises:
        InvalidOption: it is none of ours.
    """
    given = request.headers.get("last-event-id", "") or "0"
    if not (given.isascii() and given.isdecimal() and len(given) < 19):
        raise InvalidOption(f"Last-Event-ID={given[:40]}: it must be the id of an event, a number")
    return int(given)


async def event_stream(folder: JobFolder, after: int) -> AsyncIterator[bytes]:
    """Yield the events after that id as they happen, up to the job's end."""
    reader = EventReader(folder.events)
    start = said = time.monotonic()
    yield b"retry: 2000\n\n"
    while time.monotonic() - start < _LONGEST_S:
        try:
            events = await asyncio.to_thread(reader.read)
        except FileNotFoundError:
            yield b"event: deleted\ndata: {}\n\n"
            return
        for event in events:
            if event.id > after:
                said = time.monotonic()
                yield _written(event)
        if any(event.kind in ENDS for event in events):
            return
        if time.monotonic() - said > _ALIVE_S:
            said = time.monotonic()
            yield b": alive\n\n"
        await asyncio.sleep(_LOOK_S)


def _written(event: Event) -> bytes:
    data = json.dumps({"time": event.time, **event.data}, ensure_ascii=False)
    return f"id: {event.id}\nevent: {event.kind}\ndata: {data}\n\n".encode()

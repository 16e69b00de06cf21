"""What happened to a job: a file that is only ever appended to, one line an event.

An event's id is the number of its line, so a reader that names the last one it has goes on after
it, whichever replica answers. A line that a death cut short is passed over. After a takeover the
same news may stand there twice; a reader tells each once.
"""

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ENDS = ("done", "failed")
"""After these nothing more happens."""


@dataclass(frozen=True, slots=True)
class Event:
    """One line."""

    id: int
    kind: str  # queued, running, file, done or failed
    time: float  # unix time, s
    data: Mapping[str, Any]


def append_event(path: Path, kind: str, data: Mapping[str, Any]) -> None:
    """Add an event; all but those of single files are on the disk when this returns."""
    line = json.dumps({"kind": kind, "time": time.time(), "data": data}, ensure_ascii=False)
    flags = os.O_WRONLY | os.O_APPEND
    # Only the first event makes the file: a job that was deleted must stay so.
    descriptor = os.open(path, flags | os.O_CREAT if kind == "queued" else flags, 0o644)
    try:
        os.write(
            descriptor, line.encode() + b"\n"
        )  # one write: lines of several threads stay whole
        if kind != "file":
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def end_torn_line(path: Path) -> None:
    """End the line that a death may have cut short, so that the next one stands for itself."""
    data = path.read_bytes() if path.exists() else b""
    if data and not data.endswith(b"\n"):
        with path.open("ab") as file:
            file.write(b"\n")


class EventReader:
    """Reads events as they come."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._line = 0
        self._told: set[tuple[str, int]] = set()

    def read(self) -> list[Event]:
        """What is new since the last call. Raises FileNotFoundError where the job is gone."""
        with self._path.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        events = []
        for line in whole.splitlines():
            self._line += 1
            if event := self._event(line):
                events.append(event)
        return events

    def _event(self, line: bytes) -> Event | None:
        try:
            found = json.loads(line)
            event = Event(self._line, found["kind"], found["time"], found["data"])
        except (ValueError, KeyError, TypeError):
            return None
        if event.kind == "running":
            return event
        told = event.kind, int(event.data.get("index", -1))
        if told in self._told:
            return None
        self._told.add(told)
        return event


@dataclass(slots=True)
class Progress:
    """How far a job is."""

    state: str = "queued"  # then running, then done or failed
    finished: float | None = None  # unix time, s
    done: int = 0  # files
    failures: list[Mapping[str, Any]] = field(default_factory=list)
    error: Mapping[str, Any] | None = None  # what ended it, where it failed as a whole
    told: set[int] = field(default_factory=set)  # inputs whose result is told
    last_id: int = 0


def read_progress(path: Path) -> Progress:
    """Add up all events of a job. Raises FileNotFoundError where it is gone."""
    progress = Progress()
    for event in EventReader(path).read():
        progress.last_id = event.id
        if event.kind == "file":
            progress.told.add(int(event.data["index"]))
            if event.data["status"] == "done":
                progress.done += 1
            else:
                progress.failures.append(event.data)
        else:
            progress.state = event.kind
        if event.kind in ENDS:
            progress.finished = event.time
        if event.kind == "failed":
            progress.error = event.data
    return progress

"""Reading a job's events from a stream of server-sent events."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

ENDS = ("done", "failed", "deleted")
"""After these nothing more comes."""


@dataclass(frozen=True, slots=True)
class JobEvent:
    """What happened: `queued`, `running`, `file` for each image, then `done` or `failed`."""

    id: int
    kind: str
    data: Mapping[str, Any]


class EventReader:
    """Takes bytes in any pieces, over several connections, and tells each event once."""

    def __init__(self, on_event: Callable[[JobEvent], object] | None) -> None:
        self._on_event = on_event
        self._buffer = b""
        self.last_id = 0
        self.ended = False

    def connected(self) -> None:
        """Forget the half of an event with which the last connection broke off."""
        self._buffer = b""

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the answer."""
        *blocks, self._buffer = (self._buffer + data).split(b"\n\n")
        for block in blocks:
            fields = dict(_fields(block))
            if "event" in fields:
                self._tell(fields)

    def _tell(self, fields: Mapping[str, str]) -> None:
        self.last_id = int(fields.get("id", self.last_id))
        self.ended = self.ended or fields["event"] in ENDS
        if self._on_event is not None:
            data = json.loads(fields.get("data", "{}"))
            self._on_event(JobEvent(self.last_id, fields["event"], data))


def _fields(block: bytes) -> Iterator[tuple[str, str]]:
    for line in block.splitlines():  # of bytes: text has line ends that are none here
        name, _, value = line.decode("utf-8").partition(":")
        yield name, value.removeprefix(" ")

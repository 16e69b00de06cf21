"""What a run has done so far, and when it is written down."""

import math
import time
from array import array
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from serve_app.bulk.inputs import Input
from serve_app.bulk.ledger import Ledger
from serve_app.bulk.places import Folder, without_secrets
from serve_app.bulk.progress import Progress
from serve_app.bulk.report import write_errors
from serve_app.bulk.work import Outcome

_EVERY_S = 5.0
_SHARE = 0.02  # of the run's time, at least, between two segments: their number stays small


class Journal:
    """Counts outcomes, and writes sizes and failures down from time to time."""

    def __init__(self, ledger: Ledger, folder: Folder, progress: Progress) -> None:
        self._ledger = ledger
        self._folder = folder
        self._progress = progress
        self._sizes: dict[str, int] = {}
        self._failed: dict[str, dict[str, Any]] = {}  # by input
        self._start = self._written = time.monotonic()
        self._full = False
        self.done = self.again = self.bytes_in = self.bytes_out = 0
        self._began, self._ended = math.inf, 0.0  # unix time, s
        self.timings: Mapping[str, array[float]] = defaultdict(lambda: array("f"))

    @property
    def per_second(self) -> float | None:
        """Images a second, from the start of the first one to the end of the last one."""
        return self.done / (self._ended - self._began) if self.done else None

    @property
    def failed(self) -> int:
        return len(self._failed)

    def take(self, outcome: Outcome) -> None:
        self._progress.step(bool(outcome.code))
        if outcome.code:
            self._fail(outcome.uri, outcome.name, outcome.code, outcome.detail)
            return
        self._failed.pop(outcome.uri + outcome.name, None)
        self._sizes[outcome.name] = outcome.bytes_out
        self.again += outcome.again
        if not outcome.again:
            self.done += 1
            self._began = min(self._began, outcome.started)
            self._ended = max(self._ended, outcome.ended)
        self.bytes_in += outcome.bytes_in
        self.bytes_out += outcome.bytes_out
        for stage, ms in outcome.timings.items():
            self.timings[stage].append(ms)
        now = time.monotonic()
        if now - self._written > max(_EVERY_S, _SHARE * (now - self._start)):
            self.write()

    def refuse(self, bad: Input) -> None:
        """An input that no worker sees."""
        assert bad.error is not None  # noqa: S101 - that is what makes it bad
        self._fail(bad.uri, bad.name, bad.error.code, bad.error.detail)

    def write(self) -> None:
        """Write down what is new; a full disk is told once, and tried again next time."""
        self._written = time.monotonic()
        try:
            sizes, self._sizes = self._sizes, {}
            self._ledger.note(sizes)
            write_errors(self._folder, list(self._failed.values()))
        except OSError as exc:
            self._sizes = {**sizes, **self._sizes}
            if not self._full:
                self._progress.say(f"{exc.filename or self._folder.name}: {exc.strerror or exc}")
            self._full = True

    def _fail(self, uri: str, name: str, code: str, detail: str) -> None:
        row = {"uri": without_secrets(uri), "output": name, "code": code, "detail": detail}
        if self._failed.get(uri + name) != row:
            self._progress.say(f"{row['uri']}: {detail}")
        self._failed[uri + name] = row

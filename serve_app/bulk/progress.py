"""How far a run is: a bar on a terminal, a line now and then in a log."""

import sys
import time
from typing import Protocol, TextIO

from tqdm import tqdm

_EVERY_S = 10.0


class Progress(Protocol):
    def more(self, images: int) -> None: ...
    def step(self, failed: bool) -> None: ...
    def say(self, text: str) -> None: ...
    def close(self) -> None: ...


def open_progress() -> Progress:
    """What suits stderr."""
    return Bar() if sys.stderr.isatty() else Lines(sys.stderr)


class Bar:
    """On a terminal."""

    def __init__(self) -> None:
        self._bar = tqdm(total=0, unit="image", smoothing=0.05)
        self._failed = 0

    def more(self, images: int) -> None:
        self._bar.total = (self._bar.total or 0) + images
        self._bar.refresh()

    def step(self, failed: bool) -> None:
        if failed:
            self._failed += 1
            self._bar.set_postfix(failed=self._failed, refresh=False)
        self._bar.update()

    def say(self, text: str) -> None:
        self._bar.write(text, file=sys.stderr)

    def close(self) -> None:
        self._bar.close()


class Lines:
    """In a log."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._total = self._count = self._failed = 0
        self._start = self._said = time.monotonic()

    def more(self, images: int) -> None:
        self._total += images

    def step(self, failed: bool) -> None:
        now = time.monotonic()
        if not self._count:
            self._start = self._said = now  # until now the workers were starting
        self._count += 1
        self._failed += failed
        if now - self._said >= _EVERY_S:
            self._said = now
            self.say(self._line(now))

    def say(self, text: str) -> None:
        print(text, file=self._stream, flush=True)

    def close(self) -> None: ...

    def _line(self, now: float) -> str:
        pace = (self._count - 1) / (now - self._start)
        left = (self._total - self._count) / pace
        return (
            f"{self._count}/{self._total} images, {self._failed} failed, {pace:.2f}/s, "
            f"{_clock(left)} left"
        )


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"

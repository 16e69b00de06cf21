"""How long a stage took, and how long it may take."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from serve_app.errors import DeadlineExceeded


@dataclass(frozen=True, slots=True)
class Deadline:
    """When nobody will wait for an answer any more.

    Between processes it travels as the time that is left: their clocks have nothing in common, and
    the wall's may be set while a request is on its way.
    """

    at: float  # of this process's time.monotonic()

    @classmethod
    def after(cls, seconds: float) -> "Deadline":
        return cls(time.monotonic() + seconds)

    @property
    def left_s(self) -> float:
        return self.at - time.monotonic()

    def check(self) -> None:
        """Raise DeadlineExceeded if it has passed: the work would be for nobody."""
        if self.left_s <= 0:
            raise DeadlineExceeded(
                "the image's time was up before its turn came: try again when the service is less "
                "busy"
            )

    def __reduce__(self) -> tuple[Any, ...]:
        return Deadline.after, (self.left_s,)


@contextmanager
def timed(timings: dict[str, float], stage: str) -> Iterator[None]:
    """Note how long a stage took, in ms."""
    start = time.perf_counter()
    try:
        yield
    finally:
        timings[stage] = (time.perf_counter() - start) * 1000

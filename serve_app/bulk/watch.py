"""Which files of a watched place may be taken: those that nobody writes any more."""

import time
from collections.abc import Callable, Sequence

from serve_app.bulk.inputs import Input

_QUIET_S = 2.0


class Settled:
    """Gives each input once, when it was the same in two looks and for two seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[str, tuple[str, float]] = {}  # stamp, and since when
        self._given: dict[str, str] = {}

    def fresh(self, inputs: Sequence[Input]) -> list[Input]:
        """Those that have settled since the last look; one that has changed comes again."""
        now, ready = self._clock(), []
        for each in inputs:
            stamp, since = self._seen.get(each.uri, ("", now))
            if stamp != each.stamp:
                self._seen[each.uri] = (each.stamp, now)
            elif now - since >= _QUIET_S and self._given.get(each.uri) != each.stamp:
                self._given[each.uri] = each.stamp
                ready.append(each)
        return ready

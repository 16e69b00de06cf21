"""The end of the service: nothing new is taken, and what is in flight is finished first.

Whoever ends it and the replicas that take requests share one file on one machine. Something in it
says that the end has come. A replica holds a shared lock on it while it has requests in flight, so
that an exclusive one is to be had when all are answered; a replica that dies lets go of its own.
"""

import fcntl
import logging
import os
import time
from pathlib import Path

from serve_app.errors import Ending

logger = logging.getLogger("ray.serve.cvunet")

_RETRY_S = 5
_POLL_S = 0.1


class Drain:
    """The requests in flight of one replica, which are waited for at the end. One thread only."""

    def __init__(self, path: Path | None = None) -> None:
        """Open the file; without one the end comes unannounced."""
        self._in_flight = 0
        self._descriptor: int | None = None
        try:
            if path is not None:
                self._descriptor = os.open(path, os.O_RDONLY)
        except OSError as exc:  # `cvunet serve` runs on another node of the cluster
            logger.warning("drain.file '%s' cannot be read (%s): no drain", path, exc.strerror)

    def check(self) -> None:
        """Raise Ending if nothing new is to be taken."""
        if self._descriptor is not None and os.fstat(self._descriptor).st_size:
            raise Ending("the service is ending: try again, it may start anew", _RETRY_S)

    def enter(self) -> None:
        """Count a request. Only then ask `check`, or the end may come in between."""
        self._in_flight += 1
        if self._in_flight == 1:
            self._lock(fcntl.LOCK_SH)

    def leave(self) -> None:
        self._in_flight -= 1
        if not self._in_flight:
            self._lock(fcntl.LOCK_UN)

    def _lock(self, operation: int) -> None:
        if self._descriptor is None:
            return
        try:
            fcntl.flock(self._descriptor, operation | fcntl.LOCK_NB)
        except BlockingIOError:  # the end has come: `check` says so
            return


def announce_end(path: Path) -> None:
    """Have every replica that opened the file take nothing new."""
    path.write_text("ending\n", "utf-8")


def is_idle(path: Path) -> bool:
    """Whether no replica has a request in flight."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)  # and with it the lock
    return True


def wait_until_idle(path: Path, timeout_s: float) -> bool:
    """Wait for what is in flight; False where something still is after so long."""
    deadline = time.monotonic() + timeout_s
    while not is_idle(path):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True

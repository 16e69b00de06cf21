"""Progress lines of the long runs, on stderr so that stdout holds the tables alone."""

import sys
import time

_START = time.monotonic()


def say(text: str) -> None:
    print(f"  {time.monotonic() - _START:7.1f} s  {text}", file=sys.stderr, flush=True)


def elapsed() -> float:
    """Seconds since the start."""
    return time.monotonic() - _START

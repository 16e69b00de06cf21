"""Whose turn a job is: numbered files, the highest of which belongs to the replica at work.

Creating a file that isn't there succeeds for one replica alone, so no two win the same number. The
owner writes a new figure into its file again and again; where the figure has stood still for long
enough, by the clock of whoever watches, the next number is free to be taken. Clocks of different
machines are never compared. An owner that was only slow sees the higher number and stops; what it
still does in between harms nothing, since a result is committed once (see `results`).
"""

import time
from collections.abc import Callable
from pathlib import Path

_PREFIX = "lease."
_RELEASED = "released"
_WIDTH = 20  # characters of every figure: rewriting them needs no room on a full disk


class Lease:
    """One replica's turn."""

    def __init__(self, folder: Path, number: int) -> None:
        self.number = number
        self._path = folder / f"{_PREFIX}{number}"
        self._beats = 0

    @classmethod
    def claim(cls, folder: Path, number: int) -> "Lease | None":
        """Take the turn of this number, unless somebody has it."""
        lease = cls(folder, number)
        try:
            with lease._path.open("x") as file:
                file.write("0".ljust(_WIDTH))
        except (FileExistsError, FileNotFoundError):
            return None
        return lease

    def renew(self) -> bool:
        """Give a sign of life; False where the turn is over."""
        self._beats += 1
        return self._write(str(self._beats)) and newest(self._path.parent) == self.number

    def release(self) -> None:
        """Let anybody have the next turn at once."""
        self._write(_RELEASED)

    def _write(self, text: str) -> bool:
        try:
            with self._path.open("r+") as file:  # never creates it: the job may be gone
                file.write(text.ljust(_WIDTH))
        except FileNotFoundError:
            return False
        return True


class LeaseWatch:
    """Tells which turns are free, from what it sees over time."""

    def __init__(self, lease_s: float, now: Callable[[], float] = time.monotonic) -> None:
        self._lease_s = lease_s
        self._now = now
        self._seen: dict[Path, tuple[str, float]] = {}  # each lease's figure, and since when

    def free_turn(self, folder: Path) -> int | None:
        """The number that may be claimed; None where somebody is at work, or the folder is gone."""
        number = newest(folder)
        path = folder / f"{_PREFIX}{number}"
        try:  # a folder this new may have no lease yet
            figure = path.read_text().strip() if number else "none"
        except FileNotFoundError:
            return None
        if not folder.is_dir():
            return None
        if figure == _RELEASED:
            return number + 1
        known, since = self._seen.get(path, (None, 0.0))
        if known != figure:  # which is empty for the moment in which a lease is made
            self._seen[path] = figure, self._now()
            return None
        return number + 1 if self._now() - since > self._lease_s else None

    def forget(self, folders: set[Path]) -> None:
        """Keep nothing but what was seen in these folders."""
        self._seen = {path: seen for path, seen in self._seen.items() if path.parent in folders}


def newest(folder: Path) -> int:
    """The highest number there; 0 where there is none."""
    try:
        names = [path.name for path in folder.iterdir()]
    except FileNotFoundError:
        return 0
    numbers = [name.removeprefix(_PREFIX) for name in names if name.startswith(_PREFIX)]
    return max((int(number) for number in numbers if number.isdecimal()), default=0)

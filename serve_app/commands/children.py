"""What a process leaves behind when it dies, and the end of that.

Ray's daemons and workers start one another, and some outlive those that started them: those that
look for init as their parent where there is another one, or that wait for an answer of what has
died. On Linux they become children of ours. A signal is only ever sent to a child that has not been
waited for, whose id nothing else can have; what that one started comes next, as ours too.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_PR_SET_CHILD_SUBREAPER = 36
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
_POLL_S = 0.1
_LOOK_S = 1.0  # reading what all processes are takes milliseconds
_ALONE_S = 10.0  # to end by itself, when what it needs has ended
_ENDS_S = 5.0  # on SIGTERM; SIGKILL then
_GONE_S = 10.0  # after that only the kernel holds it, as one that waits for a dead disk


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent dies. Nothing but on Linux."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def interrupted_with_parent() -> None:
    """Have SIGINT sent to this process when the thread that began it ends, killed or not.

    For a child to call between fork and exec. Nothing but on Linux.
    """
    _prctl(_PR_SET_PDEATHSIG, signal.SIGINT)


def children() -> frozenset[int]:
    """The present children of this process."""
    return frozenset(p.pid for p in _processes() if p.parent == os.getpid())


def wait_for(process: "subprocess.Popen[bytes]", needs: str) -> int | None:
    """Wait for a child's end, and meanwhile for that of every orphan.

    Returns:
        Its exit status; None where it goes on without a child of its own, named `needs`, that it
        had and has no more.
    """
    if sys.platform != "linux":
        return process.wait()
    had, look_at, alone_at = False, 0.0, 0.0
    while process.poll() is None:
        _reap(but=process.pid)
        if time.monotonic() > look_at:
            look_at = time.monotonic() + _LOOK_S
            has = any(p.parent == process.pid and p.name == needs for p in _processes())
            had = had or has
            if has or not had:
                alone_at = time.monotonic() + _ALONE_S
            elif time.monotonic() > alone_at:
                return None
        time.sleep(_POLL_S)
    return process.returncode


def end_children(but: AbstractSet[int]) -> None:
    """End every child, and every descendant of those. Nothing but on Linux.

    `but`: children that are not ours to end, as those of a shell that has become this process.
    """
    if sys.platform != "linux":
        return
    asked: set[int] = set()
    kill_at = time.monotonic() + _ENDS_S
    while left := children() - but:
        late = time.monotonic() - kill_at
        if late > _GONE_S:
            break
        for pid in left if late > 0 else left - asked:
            os.kill(pid, signal.SIGKILL if late > 0 else signal.SIGTERM)
        asked |= left
        time.sleep(_POLL_S)
        _reap()


def _reap(but: int = 0) -> None:
    """Wait for every child that has ended; up to `but`, which somebody else waits for."""
    with suppress(ChildProcessError):
        while ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            if ended.si_pid == but:
                return
            os.waitpid(ended.si_pid, 0)


@dataclass(frozen=True, slots=True)
class _Process:
    pid: int
    parent: int
    name: str  # the first 15 bytes of its program's


def _processes() -> Iterator[_Process]:
    """All that run on this machine."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):  # it ended while we looked
                pid, _, rest = (entry / "stat").read_text("utf-8", "replace").partition(" (")
                name, _, fields = rest.rpartition(") ")  # a name may hold either
                state, parent = fields.split()[:2]
                if state not in "ZX":
                    yield _Process(int(pid), int(parent), name)


def _prctl(option: int, value: int) -> None:
    if _LIBC is not None and _LIBC.prctl(option, value, 0, 0, 0):
        number = ctypes.get_errno()
        raise OSError(number, f"prctl({option}, {value}): {os.strerror(number)}")

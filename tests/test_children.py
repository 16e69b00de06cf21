"""What outlives its parent is ended by the process that began it all, and nothing else is."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux alone hands orphans over")

_BEGINS = """
import subprocess, sys
from serve_app.commands.children import adopt_orphans, children, end_children, wait_for
not_ours = children()
adopt_orphans()
process = subprocess.Popen(["bash", "-c", sys.argv[1]])
print(wait_for(process, needs="sleep"), flush=True)
sys.stdin.readline()
end_children(but=not_ours)
print("ended", flush=True)
"""
_DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"


def begun(script: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", _BEGINS, script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def names(family: list[psutil.Process]) -> list[str]:
    """Their programs, sorted; those that have ended meanwhile are left out."""
    found = []
    for process in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            found.append(process.name())
    return sorted(found)


def line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def go_on(process: "subprocess.Popen[str]") -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def test_orphans_are_adopted_and_ended(tmp_path: Path) -> None:
    told = tmp_path / "pids"
    script = f"{sys.executable} -c '{_DEAF}' & echo $! >> {told}; setsid sleep 61 & "
    script += f"echo $! >> {told}; sleep 1; exit 3"
    with begun(script) as process:
        assert line(process) == "3"
        orphans = [psutil.Process(int(pid)) for pid in told.read_text().split()]
        assert {orphan.ppid() for orphan in orphans} == {process.pid}
        go_on(process)
        assert line(process) == "ended"
        assert not any(orphan.is_running() for orphan in orphans)


def test_an_orphan_that_ends_leaves_no_zombie() -> None:
    with begun("(true &); sleep 60 & wait") as process:
        family = psutil.Process(process.pid)
        until(lambda: names(family.children(recursive=True)) == ["bash", "sleep"])
        (bash,) = family.children()
        bash.kill()
        assert line(process) == "-9"
        until(lambda: names(family.children()) == ["sleep"])
        go_on(process)
        assert line(process) == "ended"


def test_a_child_that_goes_on_without_what_it_needs() -> None:
    with begun("sleep 60 & exec tail -f /dev/null") as process:
        family = psutil.Process(process.pid)
        until(lambda: "sleep" in names(family.children(recursive=True)))
        time.sleep(1.5)  # it is looked for every second
        (needed,) = (c for c in family.children(recursive=True) if c.name() == "sleep")
        killed_at = time.monotonic()
        needed.kill()
        assert line(process) == "None"
        assert time.monotonic() - killed_at < 15
        go_on(process)
        assert line(process) == "ended"


def test_children_from_before_are_left_alone(tmp_path: Path) -> None:
    """A shell that becomes the process by exec had its own."""
    told = tmp_path / "pid"
    script = f'sleep 62 & echo $! > {told}; exec "$0" -c "$1" "exit 0"'
    with subprocess.Popen(
        ["bash", "-c", script, sys.executable, _BEGINS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert line(process) == "0"
        go_on(process)
        assert line(process) == "ended"
        own = int(told.read_text())
        assert psutil.Process(own).is_running()
        os.kill(own, 9)


_KILLED = """
import signal, subprocess, sys, time
from serve_app.commands.children import interrupted_with_parent
signal.signal(signal.SIGINT, signal.SIG_DFL)  # ignored in a job in the background: no trap then
waits = "trap 'echo interrupted; exit' INT; echo begun; for i in {1..400}; do sleep 0.05; done"
subprocess.Popen(
    ["bash", "-c", waits], process_group=0, preexec_fn=interrupted_with_parent
)
time.sleep(60)
"""


def test_a_killed_parent_interrupts_its_child() -> None:
    command = [sys.executable, "-c", _KILLED]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert line(process) == "begun"
        process.kill()
        assert line(process) == "interrupted"

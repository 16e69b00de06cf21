"""Many photos by `cvunet bulk`, beside the same pipeline in one process: python -m benchmarks.bulk

Both work on the same photos with the same engine, one after the other, on an otherwise idle
machine. The pace counts from the start of the first image to the end of the last; the command's
own time has Ray's start and the loading of the network in it as well.

`--kills 10` also ends the command with SIGKILL so many times, at random, and goes on each time:
what is there at the end, and what was done more often than once.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.child import measure_apart
from benchmarks.in_process import run_in_process
from benchmarks.photos import PHOTO, SMALL, pixels, scaled
from benchmarks.results import RESULTS, Run, Table, cores
from serve_app.bulk.plan import is_whole
from serve_app.settings import parse_settings

_POLL_S = 0.05
_SETTLE_S = 120  # for Ray's processes to be gone after their driver


@dataclass
class Killed:
    """What a run that was ended and gone on with left behind."""

    kills: int = 0
    missing: int = 0  # inputs without an output, or with one that is not whole
    extra: int = 0  # files that are no output
    twice: int = 0  # outputs that were there after a kill, and were made again
    in_flight: int = 0  # images that were begun and not finished when a kill came


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=int, default=500)
    parser.add_argument("--photo", type=Path, default=PHOTO)
    parser.add_argument("--size", type=int, nargs=2, default=SMALL, metavar=("W", "H"))
    parser.add_argument("--layouts", nargs="+", default=["fused"], choices=("fused", "staged"))
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=30, help="of the pipeline in one process")
    parser.add_argument("--json", type=Path, default=RESULTS / "bulk.json")
    arguments = parser.parse_args()
    run = Run("bulk")
    photo = scaled(arguments.photo, tuple(arguments.size))
    with tempfile.TemporaryDirectory(prefix="bulk") as folder:
        source = Path(folder, "photos")
        source.mkdir()
        for number in range(arguments.photos):
            (source / f"{number:06}.jpg").write_bytes(photo)
        tables = [throughput(arguments, source, photo)]
        if arguments.kills:
            tables.append(killed_table(kill_and_go_on(arguments, source), arguments.photos))
    run.finish(tables, arguments.json)


def throughput(arguments: argparse.Namespace, source: Path, photo: bytes) -> Table:
    settings = parse_settings({"model": {"engine": arguments.engine}}, environ={})
    alone = measure_apart(
        run_in_process, settings, photo, {"preset": "bulk"}, cores(), arguments.seconds
    )
    rows = [[f"in one process, {cores()} threads", alone.value.per_second, 1.0, None]]
    for layout in arguments.layouts:
        target = source.parent / layout
        began = time.perf_counter()
        command(source, target, arguments.engine, layout).check_returncode()
        seconds = time.perf_counter() - began
        pace = json.loads((target / "report.json").read_text())["images_per_second"]
        ratio = pace / alone.value.per_second
        rows.append([f"bulk, {layout}", pace, ratio, arguments.photos / seconds])
        shutil.rmtree(target)
    return Table(
        f"{arguments.photos} photos of {pixels(tuple(arguments.size))}, preset bulk",
        ("way", "images/s", "of in process", "images/s with start and end"),
        rows,
    )


def command(
    source: Path, target: Path, engine: str, layout: str
) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(words(source, target, engine, layout), env=environment(), check=False)


def words(source: Path, target: Path, engine: str, layout: str) -> list[str]:
    program = [sys.executable, "-m", "serve_app.cli", "bulk", str(source), str(target)]
    return [*program, "--engine", engine, "--layout", layout]


def environment() -> dict[str, str]:
    """A Ray of its own, whatever this shell is connected to."""
    return {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}


def kill_and_go_on(arguments: argparse.Namespace, source: Path) -> Killed:
    """End the command so many times somewhere in its work, then let it finish."""
    target, chance = source.parent / "killed", random.Random(arguments.seed)
    outcome, seen = Killed(), dict[str, tuple[int, int]]()
    share = arguments.photos / (arguments.kills + 1)
    for number in range(arguments.kills):
        goal = int(share * (number + chance.random()))
        process = subprocess.Popen(
            words(source, target, arguments.engine, arguments.layouts[0]), env=environment()
        )
        while process.poll() is None and len(made(target)) <= goal:
            time.sleep(_POLL_S)
        time.sleep(chance.random() * 2)
        if process.poll() is None:
            process.kill()
            outcome.kills += 1
        process.wait()
        wait_until_quiet(target)
        claims = target / ".cvunet" / "claims"
        outcome.in_flight += len(list(claims.iterdir())) if claims.is_dir() else 0
        now = made(target)
        outcome.twice += sum(now[name] != seen[name] for name in seen if name in now)
        seen |= now
    command(source, target, arguments.engine, arguments.layouts[0]).check_returncode()
    last = made(target)
    outcome.twice += sum(last.get(name) != seen[name] for name in seen)
    wanted = {path.with_suffix(".png").name for path in source.iterdir()}
    whole = {name for name in last if is_whole((target / name).read_bytes())}
    outcome.missing, outcome.extra = len(wanted - whole), len(set(last) - wanted)
    return outcome


def made(target: Path) -> dict[str, tuple[int, int]]:
    """Each output, and what changes when it is made again."""
    found = {}
    for path in target.glob("*.png"):
        status = path.stat()
        found[path.name] = (status.st_ino, status.st_mtime_ns)
    return found


def wait_until_quiet(target: Path) -> None:
    """Ray's processes end a moment after their driver, and may finish an image until then."""
    deadline = time.monotonic() + _SETTLE_S
    while time.monotonic() < deadline:
        before = made(target)
        time.sleep(3)
        if made(target) == before:
            return


def killed_table(outcome: Killed, photos: int) -> Table:
    return Table(
        "Ended with SIGKILL at random, and gone on with",
        ("photos", "kills", "missing or cut", "extra files", "done twice", "begun again"),
        [
            [
                photos,
                outcome.kills,
                outcome.missing,
                outcome.extra,
                outcome.twice,
                outcome.in_flight,
            ]
        ],
    )


if __name__ == "__main__":
    main()

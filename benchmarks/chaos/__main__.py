"""What the service withstands: python -m benchmarks.chaos [--full] ROW ... | all | table

A service of our own is started for each row, harmed, judged and ended; `table` prints what the
last runs have left as Markdown. The exit status is 1 where a limit was missed.
"""

import argparse
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from pathlib import Path

from benchmarks.chaos import (
    gcs,
    hostile,
    memory,
    mutations,
    node,
    overload,
    redeploy,
    replicas,
    slow_uploads,
    soak,
)
from benchmarks.chaos.config import leaking, started
from benchmarks.chaos.outcome import Check, Outcome, markdown, table, write
from benchmarks.chaos.plan import FULL, SHORT, Plan
from benchmarks.chaos.progress import say
from benchmarks.running_service import RunningService
from serve_app.settings import ROOT

RESULTS = ROOT / "benchmarks" / "results" / "chaos"


@dataclass(frozen=True)
class Row:
    """One line of the table of what must hold."""

    what: str
    run: Callable[[Plan], Outcome]
    minutes: tuple[float, float]  # about, short and full, on two quiet cores


def with_service(
    check: Callable[[RunningService, Plan], Outcome], **options: object
) -> Callable[[Plan], Outcome]:
    """Give a row a fresh service, ended with it."""

    def run(plan: Plan) -> Outcome:
        with started(**options) as service:  # type: ignore[arg-type]
            return check(service, plan)

    return run


def _stage(name: str) -> Callable[[Plan], Outcome]:
    return with_service(partial(replicas.kill_stage, stage=name))


ROWS = {
    "corpus": Row("odd and hostile files", with_service(hostile.corpus_over_http), (3, 3)),
    "ssrf": Row("URLs that lead inside", hostile.addresses, (0.2, 0.2)),
    "mutations": Row("mutated files and requests", mutations.mutations, (2, 25)),
    "kill-preprocess": Row("kill -9 of Preprocess", _stage("Preprocess"), (1, 4)),
    "kill-unet": Row("kill -9 of UNet", _stage("UNet"), (1, 4)),
    "kill-postprocess": Row("kill -9 of Postprocess", _stage("Postprocess"), (1, 4)),
    "kill-ingress": Row("kill -9 of the ingress", with_service(replicas.kill_ingress), (1, 4)),
    "kill-proxy": Row("kill -9 of the proxy", with_service(replicas.kill_proxy), (1, 4)),
    "kill-controller": Row(
        "kill -9 of the controller", with_service(replicas.kill_controller), (1, 3)
    ),
    "kill-gcs": Row("kill -9 of Ray's control store", with_service(gcs.kill_gcs), (2, 2)),
    "node": Row("loss of one node of three", node.lose_node, (1.5, 1.5)),
    "overload": Row("five times what it can do", with_service(overload.overload), (2, 7)),
    "slow-uploads": Row(
        "300 uploads at a trickle", with_service(slow_uploads.slow_uploads), (3, 7)
    ),
    "memory": Row("4096x2304, eight at a time", with_service(memory.large_photos), (4, 8)),
    "redeploy": Row("roll-out under load", with_service(redeploy.redeploy), (1.5, 1.5)),
    "soak": Row("mixed traffic", with_service(soak.soak), (5, 61)),
    "soak-control": Row(
        "the soak with a planted leak", with_service(soak.control, change=leaking), (5, 61)
    ),
}


def main() -> int:
    arguments = parse()
    if arguments.rows == ["table"]:
        print(markdown(arguments.json))
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started is ended first
    plan = planned(arguments)
    names = list(ROWS) if arguments.rows == ["all"] else arguments.rows
    minutes = sum(ROWS[name].minutes[arguments.full] for name in names)
    say(f"{len(names)} rows, about {minutes:.0f} minutes on two quiet cores")
    outcomes = {name: take(name, plan, arguments.json) for name in names}
    missed = [name for name, outcome in outcomes.items() if not outcome.holds]
    print(
        f"{len(names) - len(missed)} of {len(names)} rows hold"
        + "".join(f", not {n}" for n in missed)
    )
    return 1 if missed else 0


def take(name: str, plan: Plan, folder: Path) -> Outcome:
    """Run one row, print it and leave its JSON; a row that breaks off is one that doesn't hold."""
    say(f"{name}: {ROWS[name].what}")
    start = time.monotonic()
    try:
        outcome = ROWS[name].run(plan)
    except Exception as exc:  # the other rows still have their turn
        outcome = Outcome([Check("ran to its end", repr(exc)[:200], "yes", False)])
    settings = {
        key: str(value) if isinstance(value, Path) else value for key, value in asdict(plan).items()
    }
    settings.pop("corpus")
    write(folder, name, outcome, settings, time.monotonic() - start)
    print(table(name, outcome), flush=True)
    return outcome


def parse() -> argparse.Namespace:
    listed = "\n".join(
        f"  {name:18} {row.what}; about {row.minutes[0]:g} min, --full {row.minutes[1]:g}"
        for name, row in ROWS.items()
    )
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.chaos",
        description=f"{__doc__}\nrows:\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("rows", nargs="+", choices=[*ROWS, "all", "table"], metavar="ROW")
    parser.add_argument("--full", action="store_true", help="as long as the record needs")
    parser.add_argument("--minutes", type=float, help="of the soak, its control and the overload")
    for field in fields(Plan):
        kind = (
            Path if field.type is Path else float if field.name.endswith(("_s", "factor")) else int
        )
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=kind, default=None)
    parser.add_argument("--json", type=Path, default=RESULTS, help="folder for the results")
    return parser.parse_args()


def planned(arguments: argparse.Namespace) -> Plan:
    plan = FULL if arguments.full else SHORT
    if arguments.minutes is not None:
        seconds = 60 * arguments.minutes
        plan = replace(plan, soak_s=seconds, overload_s=seconds)
    given = {f.name: getattr(arguments, f.name) for f in fields(Plan)}
    return replace(plan, **{name: value for name, value in given.items() if value is not None})


if __name__ == "__main__":
    sys.exit(main())

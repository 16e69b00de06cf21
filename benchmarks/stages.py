"""Where a request's time goes: python -m benchmarks.stages

In one process every step is timed by itself, wall time and CPU time. Through HTTP the service says
in `Server-Timing` how long its stages took; what a client waited beyond that is receiving, sending
and, through Serve, the proxy and the hops between replicas, told apart by bare uvicorn and
starlette around the same pipeline. CPU time through Serve is that of its processes.
"""

import argparse
import statistics
from pathlib import Path
from typing import Any

from benchmarks import plots
from benchmarks.bare_service import bare_service
from benchmarks.child import measure_apart
from benchmarks.load import Load, Target, closed_loop
from benchmarks.photos import LARGE, PHOTO, SMALL, pixels, scaled
from benchmarks.processes import PROXY, RAY, Usage, watched
from benchmarks.results import RESULTS, Run, Table, Value, plot_path
from benchmarks.running_service import STAGES, read_config, running_service
from benchmarks.steps import STEPS, Spent, steps_of
from serve_app.settings import Settings

TIMED = ("decode", "queue", "infer", "post", "encode")  # what Server-Timing tells


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", type=Path)
    parser.add_argument("--photo", type=Path, default=PHOTO)
    parser.add_argument("--size", type=int, nargs=2, default=SMALL, metavar=("W", "H"))
    parser.add_argument("--large", type=int, nargs=2, default=LARGE, metavar=("W", "H"))
    parser.add_argument("--images", type=int, default=20, help="in process, of each size")
    parser.add_argument("--seconds", type=float, default=15, help="of each run through HTTP")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--json", type=Path, default=RESULTS / "stages.json")
    arguments = parser.parse_args()
    run = Run("stages")
    sizes = [tuple(arguments.size), tuple(arguments.large)]
    photos = [scaled(arguments.photo, size) for size in sizes]
    steps = [measure_apart(steps_of, photo, arguments.images).value for photo in photos]
    with bare_service(Settings()) as bare:
        lone = closed_loop(Target(bare.url, photos[0]), 1, arguments.seconds)
    loads = through_serve(photos[0], arguments)
    plot(plot_path(arguments.json), steps[0], lone, {n: load for n, (load, _) in loads.items()})
    names = [pixels(size) for size in sizes]
    tables = [
        step_table(names, steps),
        http_table(steps[0], lone, {n: load for n, (load, _) in loads.items()}),
        cpu_table(loads),
    ]
    run.finish(tables, arguments.json, data=cost_data(loads))


def through_serve(photo: bytes, arguments: argparse.Namespace) -> dict[int, tuple[Load, Usage]]:
    """Load and usage with one client and with several, by the number of clients."""
    found = {}
    config = read_config(arguments.config) if arguments.config else read_config()
    with running_service(config) as service:
        service.wait_until_ready()
        closed_loop(Target(service.url, photo), 2, 2)
        for clients in (1, arguments.clients):
            with watched(service) as usage:
                load = closed_loop(Target(service.url, photo), clients, arguments.seconds)
            found[clients] = (load, usage)
    return found


def step_table(names: list[str], steps: list[Spent]) -> Table:
    rows: list[list[Value]] = [
        [step, *(x for spent in steps for x in spent.get(step, (None, None)))] for step in STEPS
    ]
    rows.append(["all", *(sum(v[i] for v in spent.values()) for spent in steps for i in (0, 1))])
    columns = [f"{name} {what}" for name in names for what in ("wall ms", "CPU ms")]
    return Table("In one process, one image at a time, preset bulk, medians", ["", *columns], rows)


def http_table(steps: Spent, bare: Load, serve: dict[int, Load]) -> Table:
    """Wall milliseconds by stage: bare HTTP, and Serve with one client and with several."""
    loads = [bare, *serve.values()]
    rows: list[list[Value]] = [[stage, *(load.stage(stage) for load in loads)] for stage in TIMED]
    names = {"decode": "decode + resize", "post": "refine + post"}
    rows = [[names.get(str(row[0]), row[0]), *row[1:]] for row in rows]
    rests = [rest(load) for load in loads]
    receive = steps["receive"][0]
    http = max(0.0, rests[0] - receive)
    rows += [
        ["receive (the form is read)", *(receive for _ in loads)],
        ["send and the rest of HTTP", *(http for _ in loads)],
        ["proxy, hops and waiting for them", None, *(r - rests[0] for r in rests[1:])],
        ["all, p50", *(load.percentile(50) for load in loads)],
    ]
    columns = ["bare, 1 client", *(f"Serve, {n} client{'s' * (n > 1)}" for n in serve)]
    return Table("Through HTTP, wall ms, medians", ["", *columns], rows)


def rest(load: Load) -> float:
    """Milliseconds that a client waited beyond the stages, median."""
    return 1000 * statistics.median(
        answer.latency - sum(answer.stages.values()) / 1000 for answer in load.done
    )


def cpu_table(loads: dict[int, tuple[Load, Usage]]) -> Table:
    kinds = (*STAGES, PROXY, RAY)
    rows: list[list[Value]] = [
        [
            kind,
            *(1000 * usage.cpu_s.get(kind, 0.0) / len(load.done) for load, usage in loads.values()),
        ]
        for kind in kinds
    ]
    rows.append(["all", *(1000 * u.total_cpu_s / len(load.done) for load, u in loads.values())])
    columns = [f"{n} client{'s' * (n > 1)}" for n in loads]
    return Table("CPU ms an image through Serve, by process", ["", *columns], rows)


def cost_data(loads: dict[int, tuple[Load, Usage]]) -> dict[str, Any]:
    """What the cost model starts from: CPU seconds an image, by process, under load."""
    clients, (load, usage) = max(loads.items())
    return {
        "clients": clients,
        "cpu_s": {kind: seconds / len(load.done) for kind, seconds in usage.cpu_s.items()},
        "per_second": load.per_second,
        "mean_batch": load.mean_batch,
    }


def plot(path: Path, steps: Spent, bare: Load, serve: dict[int, Load]) -> None:
    alone = {step: steps[step][0] for step in STEPS if step in steps}
    bars = {"in one process": alone}
    for name, load in (("bare HTTP, 1 client", bare), ("Serve, 1 client", serve[min(serve)])):
        stages = {stage: load.stage(stage) or 0.0 for stage in TIMED}
        bars[name] = {**stages, "HTTP, proxy, hops": rest(load)}
    plots.stacked(path, "A lone request's time", "ms", bars)


if __name__ == "__main__":
    main()

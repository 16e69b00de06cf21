"""A service under load on this machine: python -m benchmarks.serving

Starts the service on a free port and measures, through HTTP: closed-loop load of several clients,
open-loop load at shares of the throughput found so, each preset, large photos, the time to the
first answer and the return of a killed network replica. Its floors are measured in the same run:
the pipeline in one process on the same cores, and bare uvicorn and starlette around it.

Several `--config FILE` and `--env NAME=VALUE` are measured one after the other, and compared with
the first: `--env RAY_SERVE_ENABLE_HA_PROXY=1` compares Serve's proxy with its HAProxy mode. The
clients run on the same cores; what they use is told, and how busy the GPU is, where there is one.
"""

import argparse
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import plots
from benchmarks.bare_service import bare_service
from benchmarks.child import measure_apart
from benchmarks.in_process import run_in_process
from benchmarks.load import Client, Load, Target, closed_loop, open_loop
from benchmarks.photos import LARGE, PHOTO, SMALL, pixels, scaled
from benchmarks.processes import Usage, replica_memory, watched
from benchmarks.results import RESULTS, Run, Table, Value, cores, plot_path
from benchmarks.running_service import RunningService, read_config, running_service
from serve_app.settings import ROOT, Settings, load_settings

PRESETS = ("preview", "bulk", "ecommerce", "portrait")
LATENCY = ("p50 ms", "p95 ms", "p99 ms")
CLOSED = (
    *("service", "clients", "images/min", "of in process", "times the first", *LATENCY),
    *("mean batch", "cores busy", "of clients", "GPU busy", "MB", "refused", "failed"),
)

Row = list[Value]


@dataclass(frozen=True)
class Variant:
    """A way to run the service."""

    config: Path
    environment: dict[str, str]

    @property
    def name(self) -> str:
        return " ".join([self.config.name, *(f"{k}={v}" for k, v in self.environment.items())])


@dataclass
class Found:
    """Rows of the tables, for all variants."""

    closed: list[Row] = field(default_factory=list)
    open: list[Row] = field(default_factory=list)
    presets: list[Row] = field(default_factory=list)
    other: list[Row] = field(default_factory=list)
    first: dict[str, float] = field(default_factory=dict)  # of the first variant, by what
    points: dict[str, list[tuple[float, float]]] = field(default_factory=dict)

    def ratio(self, what: str, value: float) -> float:
        """Against the first variant."""
        return value / (self.first.setdefault(what, value) or float("nan"))


def main() -> None:
    arguments = parse()
    run = Run("serving")
    photo = scaled(arguments.photo, SMALL)
    found = Found()
    floors: list[Row] = []
    if not arguments.skip_floors:
        settings = load_settings(arguments.config[0])
        floors += measure_floors(settings, photo, arguments.seconds)
    for variant in variants(arguments):
        print(f"... {variant.name}", flush=True)
        with running_service(read_config(variant.config), variant.environment) as service:
            measure(service, variant.name, photo, arguments, found)
    best = max((float(row[1] or 0) for row in floors[:2]), default=float("nan"))
    for row in found.closed:
        row.insert(3, float(row[2] or 0) / best)
    axes = ("clients", "images/min")
    plots.lines(plot_path(arguments.json), "Through HTTP", axes, found.points)
    run.finish(tables(found, floors), arguments.json, data={"per_minute": found.points})


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", type=Path, action="append")
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE[,NAME=VALUE]")
    parser.add_argument("--photo", type=Path, default=PHOTO)
    parser.add_argument("--seconds", type=float, default=10, help="length of each run under load")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 16, 32])
    parser.add_argument("--warm-up", type=int, default=2, help="clients of the 2 s before")
    parser.add_argument("--shares", type=float, nargs="*", default=[0.5, 0.8, 1.2])
    parser.add_argument("--presets", nargs="*", default=PRESETS)
    parser.add_argument("--skip-floors", action="store_true")
    parser.add_argument("--skip-large", action="store_true")
    parser.add_argument("--skip-recovery", action="store_true")
    parser.add_argument("--json", type=Path, default=RESULTS / "serving.json")
    arguments = parser.parse_args()
    arguments.config = arguments.config or [ROOT / "serve_config.yaml"]
    return arguments


def variants(arguments: argparse.Namespace) -> Iterator[Variant]:
    for config in arguments.config:
        for words in ["", *arguments.env]:
            pairs = (pair.split("=", 1) for pair in words.split(",") if pair)
            yield Variant(config, dict(pairs))


def measure_floors(settings: Settings, photo: bytes, seconds: float) -> Iterator[Row]:
    """The pipeline in one process, in one thread and in several, and bare HTTP around it."""
    for workers in (1, cores() + 1):
        ran = measure_apart(run_in_process, settings, photo, {}, workers, seconds).value
        words = "one thread" if workers == 1 else f"{workers} threads"
        yield [f"in process, {words}", 60 * ran.per_second, ran.p50_ms]
    with bare_service(settings) as bare:
        for clients in (1, 8):
            load = closed_loop(Target(bare.url, photo), clients, seconds)
            name = f"uvicorn + starlette, {clients} client{'s' * (clients > 1)}"
            yield [name, 60 * load.per_second, load.percentile(50)]


def measure(
    service: RunningService, name: str, photo: bytes, arguments: argparse.Namespace, found: Found
) -> None:
    service.wait_until_ready()
    closed_loop(Target(service.url, photo), 1, 0)
    found.other.append([name, "start to first answer, s", time.monotonic() - service.started_at])
    # The first requests of each replica are slow.
    closed_loop(Target(service.url, photo), arguments.warm_up, 2)
    best = 0.0
    for clients in arguments.clients:
        load, usage, own = under_load(service, Target(service.url, photo), clients, arguments)
        best = max(best, load.per_second)
        print(f"... {clients} clients: {60 * load.per_second:.0f} images/min", flush=True)
        found.closed.append(closed_row(name, clients, load, usage, own, found))
        found.points.setdefault(name, []).append((clients, 60 * load.per_second))
    for share in arguments.shares if best else ():
        load = open_loop(Target(service.url, photo), share * best, arguments.seconds)
        found.open.append(open_row(name, share * best, load))
    for preset in arguments.presets:
        load = closed_loop(Target(service.url, photo, {"preset": preset}), 8, arguments.seconds / 2)
        found.presets.append([name, preset, 60 * load.per_second, load.percentile(50)])
    if not arguments.skip_large:
        measure_large(service, name, arguments, found)
    if not arguments.skip_recovery:
        found.other.append([name, "killed network replica: ready again, s", recovery(service)])


def under_load(
    service: RunningService, target: Target, clients: int, arguments: argparse.Namespace
) -> tuple[Load, Usage, float]:
    """The load, what the service used, and the CPU seconds of the clients themselves."""
    before = time.process_time()
    with watched(service) as usage:
        load = closed_loop(target, clients, arguments.seconds)
    return load, usage, time.process_time() - before


def closed_row(
    name: str, clients: int, load: Load, usage: Usage, own_cpu_s: float, found: Found
) -> Row:
    per_minute = 60 * load.per_second
    return [
        name,
        clients,
        per_minute,
        found.ratio(f"closed {clients}", per_minute),
        *(load.percentile(percent) for percent in (50, 95, 99)),
        load.mean_batch,
        usage.total_cpu_s / load.seconds,
        own_cpu_s / load.seconds,
        None if usage.gpu_busy is None else f"{usage.gpu_busy:.0%}",
        round(usage.peak_memory / 1e6),
        load.refusals,
        load.failures - load.refusals,
    ]


def open_row(name: str, rate: float, load: Load) -> Row:
    percentiles = (load.percentile(percent) for percent in (50, 95, 99))
    return [name, 60 * rate, 60 * load.per_second, *percentiles, load.mean_batch, load.failures]


def measure_large(
    service: RunningService, name: str, arguments: argparse.Namespace, found: Found
) -> None:
    target = Target(service.url, scaled(arguments.photo, LARGE))
    label = pixels(LARGE)
    client = Client(target)
    lone = [client.ask(time.perf_counter()) for _ in range(5)]
    client.close()
    load = closed_loop(target, 8, arguments.seconds)
    peak = round(replica_memory(service) / 1e6)
    found.other += [
        [name, f"{label}, 1 client: p50, ms", 1000 * statistics.median(a.latency for a in lone)],
        [name, f"{label}, 8 clients: images/min", 60 * load.per_second],
        [name, f"{label}, 8 clients: failed", load.failures],
        [name, f"{label}, 8 clients: replicas' memory after it, MB", peak],
    ]


def recovery(service: RunningService) -> float:
    """Seconds from kill -9 of the network's replica to /readyz being 200 with another one."""
    time.sleep(6)  # /readyz trusts an answer of the last seconds; let that trust run out
    service.replicas("UNet")[0].kill()
    start = time.monotonic()
    while service.is_ready() and time.monotonic() - start < 1:
        time.sleep(0.02)
    service.wait_until_ready()
    return time.monotonic() - start


def tables(found: Found, floors: list[Row]) -> list[Table]:
    size = pixels(SMALL)
    made = [
        Table(
            f"Closed loop, {size} in and out, preset bulk; memory is that of the replicas",
            CLOSED,
            found.closed,
        ),
        Table("Floors on the same cores", ("", "images/min", "p50 ms"), floors),
        Table(
            "Open loop: requests come when they come (Poisson), latency from when each was due",
            ("service", "offered/min", "done/min", *LATENCY, "mean batch", "failed"),
            found.open,
        ),
        Table("Presets, 8 clients", ("service", "preset", "images/min", "p50 ms"), found.presets),
        Table("And", ("service", "what", "value"), found.other),
    ]
    return [table for table in made if table.rows]


if __name__ == "__main__":
    main()

"""What a million images cost, and what more replicas and cores give: python -m benchmarks.cost

Starts from the CPU time an image that `python -m benchmarks.stages` measured in each process under
load, says what the formula and a simulation make of it for several numbers of preprocessing
replicas and cores, and checks both against the service run with those replicas on this machine
(`--no-measure` leaves that out).

    images/s = min(cores / sum of c, replicas of a stage x its threads / c of that stage)

with c the CPU seconds an image that a stage takes. Ray's own processes and the proxy count among
the c of the sum, and have no replicas to set.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import plots
from benchmarks.load import Target, closed_loop
from benchmarks.photos import PHOTO, SMALL, scaled
from benchmarks.processes import PROXY, RAY
from benchmarks.results import RESULTS, Run, Table, Value, cores, plot_path, read_report
from benchmarks.running_service import read_config, running_service
from benchmarks.simulation import Stage, formula, simulate

_MILLION = 1_000_000
CHECKED = (
    *("replicas of each", "clients", "images/min, formula", "simulated", "measured"),
    "simulated/measured",
)
_BATCH = 8  # batching.max_batch_size


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--stages", type=Path, default=RESULTS / "stages.json")
    parser.add_argument("--gpu", type=Path, default=RESULTS / "roofline.json")
    parser.add_argument("--photo", type=Path, default=PHOTO)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--replicas", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--cores", type=int, nargs="+", default=[cores(), 4, 8, 16])
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 16])
    parser.add_argument("--no-measure", action="store_true")
    parser.add_argument("--json", type=Path, default=RESULTS / "cost.json")
    arguments = parser.parse_args()
    run = Run("cost")
    if not arguments.stages.is_file():
        parser.error(f"{arguments.stages.name} is not there: python -m benchmarks.stages makes it")
    spent = json.loads(arguments.stages.read_text("utf-8"))["data"]["cpu_s"]
    tables = [scale_table(spent, arguments), price_table(spent, arguments)]
    if not arguments.no_measure:
        tables.insert(0, check_table(spent, arguments))
    points = {
        f"{n} preprocessing replica{'s' * (n > 1)}": [
            (c, 60 * simulate(stages_of(spent, n, c), c, 4 * c)) for c in arguments.cores
        ]
        for n in arguments.replicas
    }
    axes = ("cores", "images/min, simulated")
    plots.lines(plot_path(arguments.json), "More cores and replicas", axes, points, log_x=True)
    run.finish(tables, arguments.json, gpu_notes(arguments.gpu))


def stages_of(spent: dict[str, float], preprocess: int, machine_cores: int) -> list[Stage]:
    """The service as stages: so many preprocessing replicas, as many of postprocessing.

    The network's replica works on all cores, as `model.threads: 0` has it. Proxy, ingress and what
    Ray spends on an image come before the stages; Ray's processes run side by side.
    """
    network = spent["UNet"]
    return [
        Stage("proxy", spent.get(PROXY, 0.0)),
        Stage("ingress", spent["Ingress"]),
        Stage("Ray", spent.get(RAY, 0.0), replicas=machine_cores),
        Stage("preprocess", spent["Preprocess"], preprocess),
        Stage("network", network, threads=machine_cores, batch=_BATCH),
        Stage("postprocess", spent["Postprocess"], preprocess),
    ]


def scale_table(spent: dict[str, float], arguments: argparse.Namespace) -> Table:
    rows: list[list[Value]] = []
    for machine_cores in arguments.cores:
        for replicas in arguments.replicas:
            stages = stages_of(spent, replicas, machine_cores)
            bound = formula(stages, machine_cores)
            simulated = simulate(stages, machine_cores, 4 * machine_cores)
            limit = slowest(stages, machine_cores)
            rows.append([machine_cores, replicas, 60 * bound, 60 * simulated, limit])
    return Table(
        "Replicas of pre- and of postprocessing on machines of several sizes, 4 clients a core",
        ("cores", "replicas of each", "images/min, formula", "simulated", "limited by"),
        rows,
    )


def slowest(stages: list[Stage], machine_cores: int) -> str:
    """What the formula's minimum is."""
    alone = {
        stage.name: stage.replicas * min(stage.threads, machine_cores) / stage.cpu_s
        for stage in stages
        if stage.cpu_s
    }
    name, rate = min(alone.items(), key=lambda item: item[1])
    return "cores" if machine_cores / sum(s.cpu_s for s in stages) < rate else name


def check_table(spent: dict[str, float], arguments: argparse.Namespace) -> Table:
    """Formula and simulation beside the service with those replicas, on this machine."""
    rows: list[list[Value]] = []
    for replicas in arguments.replicas:
        stages = stages_of(spent, replicas, cores())
        bound = formula(stages, cores())
        for clients, measured in measure(replicas, arguments):
            simulated = simulate(stages, cores(), clients)
            rows.append(
                [replicas, clients, 60 * bound, 60 * simulated, 60 * measured, simulated / measured]
            )
    return Table(
        f"The model against this machine, {cores()} cores",
        CHECKED,
        rows,
    )


def measure(replicas: int, arguments: argparse.Namespace) -> Iterator[tuple[int, float]]:
    """Images per second by number of clients, with so many replicas from the start."""
    photo = scaled(arguments.photo, SMALL)
    with running_service(with_replicas(read_config(), replicas)) as service:
        service.wait_until_ready()
        closed_loop(Target(service.url, photo), 2 * replicas, 2)
        for clients in arguments.clients:
            load = closed_loop(Target(service.url, photo), clients, arguments.seconds)
            yield clients, load.per_second


def with_replicas(config: dict[str, Any], replicas: int) -> dict[str, Any]:
    """So many replicas of pre- and of postprocessing and one of the rest, whatever the load."""
    for stage in config["applications"][0]["deployments"]:
        is_cpu_stage = stage["name"] in ("Preprocess", "Postprocess")
        count = replicas if is_cpu_stage else 1
        stage.setdefault("autoscaling_config", {}).update(min_replicas=count, max_replicas=count)
        # Serve places no replica without its share: the machine's cores are shared out, not added.
        if is_cpu_stage:
            stage["ray_actor_options"]["num_cpus"] = 0.4 / replicas
    return config


def price_table(spent: dict[str, float], arguments: argparse.Namespace) -> Table:
    hours = _MILLION * sum(spent.values()) / 3600
    rows: list[list[Value]] = [
        [kind, 1000 * seconds, _MILLION * seconds / 3600]
        for kind, seconds in sorted(spent.items(), key=lambda item: -item[1])
    ]
    rows.append(["all on CPUs", 1000 * sum(spent.values()), hours])
    without = sum(seconds for kind, seconds in spent.items() if kind != "UNet")
    rows.append(["with the network on a GPU: cores", 1000 * without, _MILLION * without / 3600])
    gpu = gpu_seconds(arguments.gpu)
    rows.append(
        ["with the network on a GPU: GPU", None, None]
        if gpu is None
        else ["with the network on a GPU: GPU", 1000 * gpu, _MILLION * gpu / 3600]
    )
    return Table(
        "A million images of 1024x576, preset bulk",
        ("", "ms an image", "core-hours (or GPU-hours) a million"),
        rows,
    )


def gpu_seconds(path: Path) -> float | None:
    """GPU seconds an image, from `python -m benchmarks.roofline` on a GPU; None without one."""
    if not path.is_file():
        return None
    return read_report(path).data.get("gpu_s_per_image")


def gpu_notes(path: Path) -> list[str]:
    """Whose GPU seconds those are: it need not be a GPU of this machine."""
    if gpu_seconds(path) is None:
        return []
    return [f"GPU time is the network's alone on an {read_report(path).machine['gpu']}, at best."]


if __name__ == "__main__":
    main()

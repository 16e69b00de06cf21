"""The service beside what people would use in its place: python -m benchmarks.peers

The same photo, the same machine, the same run, through HTTP and in process:

- rembg's HTTP server and library, `u2net_custom` session, which scales every picture to 320x320,
  once with this project's network (compares the machinery) and once with a randomly initialised
  network of U2-Net's published layers (costs what its users' networks cost; its mattes mean
  nothing). rembg upsamples the matte without looking at the photo and leaves its colours alone, so
  the service is measured that way too.
- LitServe and BentoML around this project's own pipeline, a worker for each core.

The peers are installed into `.cache/peers`, once. No network is downloaded.
"""

import argparse
import json
import statistics
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from benchmarks import plots
from benchmarks.child import measure_apart
from benchmarks.in_process import run_in_process
from benchmarks.load import Client, Target, closed_loop
from benchmarks.peers.candidates import LIKE_REMBG, OURS, OURS_SMALL, Peer, peers
from benchmarks.peers.environment import FOLDER, peers_environment, peers_python
from benchmarks.peers.exported import SIDE, AsRembgTakesIt, export, gflops
from benchmarks.peers.u2net import U2Net
from benchmarks.photos import PHOTO, SMALL, pixels, scaled
from benchmarks.results import RESULTS, Run, Table, Value, cores, plot_path
from serve_app.models.checkpoint import load_checkpoint
from serve_app.settings import ModelSettings, Settings, resolve_path

COLUMNS = ("server", "clients", "images/min", "p50 ms", "p95 ms", "MB", "failed", "ours is")

Row = list[Value]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photo", type=Path, default=PHOTO)
    parser.add_argument("--size", type=int, nargs=2, default=SMALL, metavar=("W", "H"))
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--workers", type=int, default=cores(), help="of LitServe and BentoML")
    parser.add_argument("--only", nargs="*", default=["ours", "rembg", "litserve", "bentoml"])
    parser.add_argument("--json", type=Path, default=RESULTS / "peers.json")
    arguments = parser.parse_args()
    run = Run("peers")
    peers_python()
    photo = scaled(arguments.photo, tuple(arguments.size))
    model_path = resolve_path(ModelSettings().model_path)
    rows = []
    models = export(model_path)
    for key, peer in peers(models, arguments.workers).items():
        if key in arguments.only:
            print(f"... {peer.names[0]}", flush=True)
            rows += measure(peer, photo, arguments)
    library = list(measure_libraries(models, photo, arguments))
    most = max(arguments.clients)
    speeds = {str(row[0]): float(row[2] or 0) for row in rows if row[1] == most}
    plots.bars(plot_path(arguments.json), f"{most} clients", "images/min", speeds)
    size = pixels(tuple(arguments.size))
    title = f"Through HTTP, {size} in, PNG out; memory is that of the server's whole tree"
    in_process = Table(
        "In one process, one thread of calls", ("library", "images/min", "p50 ms"), library
    )
    costs = [gflops(AsRembgTakesIt(load_checkpoint(model_path)[0])), gflops(U2Net())]
    note = (
        f"At {SIDE}x{SIDE} this project's network takes {costs[0]:.1f} GFLOP and U2-Net's layers "
        f"take {costs[1]:.1f}. cvunet-serve runs its network at {size} where its row does not say "
        "otherwise, and "
        "'ours is' compares with its row at as many clients."
    )
    run.finish(
        [Table(title, COLUMNS, compared(rows)), in_process],
        arguments.json,
        [note],
        {"gflops": dict(zip(("ours", "u2net"), costs, strict=True))},
    )


def measure(peer: Peer, photo: bytes, arguments: argparse.Namespace) -> Iterator[Row]:
    with peer.start() as server:
        for name, fields, path in zip(peer.names, peer.fields, peer.paths, strict=True):
            target = Target(server.url, photo, fields, path, peer.file_field)
            warm_up(target, name)
            for clients in arguments.clients:
                load = closed_loop(target, clients, arguments.seconds)
                numbers = 60 * load.per_second, load.percentile(50), load.percentile(95)
                yield [name, clients, *numbers, memory_mb(server.process), load.failures]


def warm_up(target: Target, name: str) -> None:
    """The first requests load and compile; one that fails ends the benchmark."""
    client = Client(target)
    for _ in range(3):
        answer = client.ask(time.perf_counter())
    client.close()
    if answer.status != 200:
        raise RuntimeError(f"{name} answers {answer.status}: see its log in .cache/peers")


def memory_mb(process: psutil.Process) -> int:
    """What a server and all its children hold; pages they share count once."""
    total = 0
    for one in [process, *process.children(recursive=True)]:
        try:
            total += one.memory_full_info().pss
        except psutil.Error:
            continue
    return round(total / 1e6)


def compared(rows: list[Row]) -> list[Row]:
    """Each row with our own throughput against its: rembg's with ours at rembg's size too."""
    own = {row[1]: float(row[2] or 0) for row in rows if row[0] == OURS}
    small = {row[1]: float(row[2] or 0) for row in rows if row[0] == OURS_SMALL}
    return [[*row, _times(row, own, small)] for row in rows]


def _times(row: Row, own: dict[Value, float], small: dict[Value, float]) -> str | None:
    rate, clients = float(row[2] or 0), row[1]
    if not rate or clients not in own or row[0] in (OURS, OURS_SMALL):
        return None
    words = f"{own[clients] / rate:.2g}x"
    if str(row[0]).startswith("rembg"):
        words += f" ({small[clients] / rate:.2g}x at {SIDE} px)"
    return words


def measure_libraries(
    models: dict[str, Path], photo: bytes, arguments: argparse.Namespace
) -> Iterator[Row]:
    if "ours" in arguments.only:
        for name, fields in ((OURS, {}), (OURS_SMALL, LIKE_REMBG)):
            limits = photo, fields, 1, arguments.seconds
            ran = measure_apart(run_in_process, Settings(), *limits).value
            yield [name, 60 * ran.per_second, ran.p50_ms]
    if "rembg" in arguments.only:
        names = {"ours": "rembg, our network", "u2net": "rembg, U2-Net's layers"}
        for key, file in models.items():
            taken = rembg_library(file, photo, arguments.seconds)
            yield [names[key], 60 / statistics.mean(taken), 1000 * statistics.median(taken)]


def rembg_library(model: Path, photo: bytes, seconds: float) -> list[float]:
    """Seconds of each picture."""
    file = FOLDER / "photo.jpg"
    file.write_bytes(photo)
    script = Path(__file__).with_name("rembg_library.py")
    done = subprocess.run(
        [peers_python(), script, model, file, str(seconds)],
        env=peers_environment(with_product=False),
        check=True,
        capture_output=True,
        text=True,
        cwd=FOLDER,
    )
    taken: list[float] = json.loads(done.stdout.splitlines()[-1])
    return taken


if __name__ == "__main__":
    main()

"""From one photo at a time to the service's way of working: python -m benchmarks.ladder

Each rung changes one thing of the rung before and is measured in a fresh process, whose peak of
memory is the rung's. The first works as a service does that was written without a thought of speed:
weights loaded for every image, all pixels of a 4096x2304 photo through the network, one image at a
time, eroded, feathered, its foreground estimated, and a PNG as Pillow writes it by default.

`--network cvunet`, the default, has the same network in all rungs, so that the ratios are those of
the way of working alone. That makes the first rung quicker than such services are, for they run a
heavier network: `--network unet32` runs a plain U-Net of 32 channels, randomly initialised, which
costs what a trained one costs, and puts this project's network in its place near the end.

Half precision is a rung on a GPU only. On a CPU its cost is measured and told beside the table.
"""

import argparse
import statistics
import time
from pathlib import Path

from benchmarks import plots
from benchmarks.child import measure_apart
from benchmarks.photos import LARGE, PHOTO, SMALL, pixels, scaled
from benchmarks.results import RESULTS, Run, Table, plot_path
from benchmarks.rungs import Rung, ladder, seconds_per_image
from serve_app.settings import ModelSettings, resolve_path

AGAINST = ("images/min", "times the first")
RESOLUTIONS = (LARGE, (2048, 1152), SMALL, (512, 288))

Row = tuple[str, float, int, float | None]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--network", choices=("cvunet", "unet32"), default="cvunet")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--photo", type=Path, default=PHOTO)
    parser.add_argument("--model", type=Path, default=ModelSettings().model_path)
    parser.add_argument("--seconds", type=float, default=6, help="of each rung")
    parser.add_argument("--images", type=int, default=3, help="of each rung, at least")
    parser.add_argument("--large", type=int, nargs=2, default=LARGE, metavar=("W", "H"))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    name = "ladder" if arguments.network == "cvunet" else f"ladder_{arguments.network}"
    path = arguments.json or RESULTS / f"{name}.json"
    run = Run("ladder")
    rungs = ladder(arguments.network, arguments.device, arguments.model)
    rows = [climb(rung, arguments) for rung in rungs]
    plot(plot_path(path), rows)
    run.finish(
        [rung_table(rows, arguments), resolutions(rungs[1], rows[1], rungs[-1], arguments)],
        path,
        notes(arguments),
        {"rungs": {row[0]: list(row[1:]) for row in rows}},
    )


def climb(rung: Rung, arguments: argparse.Namespace) -> Row:
    """Name, s/image and peak MB with the large photo, s/image with the small one."""
    print(f"... {rung.name}", flush=True)
    sizes = [SMALL, tuple(arguments.large)] if rung.limit else [tuple(arguments.large)]
    taken, peak = measure(rung, sizes, arguments, "network")
    return rung.name, taken[-1], peak, taken[0] if rung.limit else None


def measure(
    rung: Rung, sizes: list[tuple[int, int]], arguments: argparse.Namespace, answer: str
) -> tuple[list[float], int]:
    """Seconds per image of each size, and the peak of memory in MB: the GPU's where there is one.

    The largest comes last: the peak is its.
    """
    photos = [scaled(arguments.photo, size) for size in sizes]
    limits = arguments.seconds, arguments.images
    done = measure_apart(seconds_per_image, rung, photos, arguments.model, answer, *limits)
    return done.value, round((done.peak_gpu_memory or done.peak_memory) / 1e6)


def rung_table(rows: list[Row], arguments: argparse.Namespace) -> Table:
    first = rows[0][1]
    return Table(
        f"One {pixels(arguments.large)} photo, and beside it a {pixels(SMALL)} one for the rungs "
        "that have a resolution limit; both against the first rung",
        ("rung", "s/image", *AGAINST, "peak MB", "s/image, small photo", *AGAINST),
        [
            [name, large, *against(first, large), peak, small, *against(first, small)]
            for name, large, peak, small in rows
        ],
    )


def plot(path: Path, rows: list[Row]) -> None:
    per_minute = {name: 60 / (small or large) for name, large, _, small in rows}
    plots.bars(path, "Images a minute, rung by rung", "images/min", per_minute, log=True)


def against(first: float, seconds: float | None) -> list[float | None]:
    return [None, None] if seconds is None else [60 / seconds, first / seconds]


def resolutions(plain: Rung, known: Row, last: Rung, arguments: argparse.Namespace) -> Table:
    """Photos of several sizes: every pixel through the network, and as the service does it.

    Args:
        plain: every pixel through the network.
        known: what it took for the large photo, which is slow enough to be measured once.
        last: as the service does it.
        arguments: of the command.
    """
    rows = []
    for size in RESOLUTIONS:
        if size[0] > arguments.large[0]:
            continue
        print(f"... {pixels(size)}", flush=True)
        if size == tuple(arguments.large):
            every_pixel = [known[1]], known[2]
        else:
            every_pixel = measure(plain, [size], arguments, "original")
        ways = every_pixel, measure(last, [size], arguments, "original")
        rows.append([pixels(size), *(x for taken, peak in ways for x in (taken[0], peak))])
    return Table(
        "By size of the photo, the answer at the same size: weights kept and every pixel through "
        "the network, beside the last rung",
        ("photo", "s/image, every pixel", "peak MB", "s/image, last rung", "peak MB"),
        rows,
    )


def notes(arguments: argparse.Namespace) -> list[str]:
    found = []
    if arguments.network == "unet32":
        from benchmarks.networks import PlainUNet, gflops

        cost = gflops(PlainUNet(), (576, 1024))
        found.append(
            f"The network is a plain U-Net of 32 channels, randomly initialised: {cost:.0f} GFLOP "
            "at 1024x576."
        )
    if arguments.device == "cpu":
        ratio = measure_apart(bfloat16_ratio, arguments.model).value
        found.append(
            "Half precision is no rung here: a CPU computes FP16 in fp32, and bfloat16 took "
            f"{ratio:.2g} times as long as fp32 in torch at 1024x576."
        )
    return found


def bfloat16_ratio(model_path: Path) -> float:
    """How many times as long as in fp32 the network takes in bfloat16, both in torch."""
    import torch

    from serve_app.models.checkpoint import load_checkpoint

    network, _ = load_checkpoint(resolve_path(model_path))
    rgb = torch.randint(0, 256, (1, 576, 1024, 3), dtype=torch.uint8)
    trimap = torch.full((1, 576, 1024), 128, dtype=torch.uint8)
    medians = []
    for kind in (torch.float32, torch.bfloat16):
        network.to(kind, memory_format=torch.channels_last)  # type: ignore[call-overload]
        taken = []
        for _ in range(4):
            start = time.perf_counter()
            with torch.inference_mode():
                network(rgb, trimap)
            taken.append(time.perf_counter() - start)
        medians.append(statistics.median(taken[1:]))
    return medians[1] / medians[0]


if __name__ == "__main__":
    main()

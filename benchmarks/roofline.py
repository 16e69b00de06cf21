"""How near the network comes to what a GPU can do: python -m benchmarks.roofline

For each precision and batch: the time of one run, eagerly and from a CUDA graph (no launch
overhead), in FP16 also on our own kernels, as the engine does it, and with `--compile` compiled,
beside the time that the roofline allows: for every convolution the longer of its operations at the
device's peak and of its bytes at the device's bandwidth, summed.
Both peaks are measured on the device itself, with large matrix products and large copies, so that
the share is of what can be had and not of a data sheet. Bytes are those of the inputs, weights and
outputs; what stands between convolutions (norms, activations, resizing) is taken for free.
Our own kernels' answer is compared with PyTorch's in FP32, on the same random bytes, and the first
run of a new shape is timed on both.
The peak of memory is that of the quickest way's graph, its buffers and the weights.

Without a GPU, `--device cpu` shows the same table for a CPU, without graphs and without FP16.
"""

import argparse
import copy
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import plots
from benchmarks.photos import SMALL
from benchmarks.results import RESULTS, Run, Table, Value, plot_path
from serve_app.engines.cuda_graphs import Network, RecordedNetwork
from serve_app.engines.kernel_choice import choose_kernels
from serve_app.engines.torch import find_device
from serve_app.models.checkpoint import load_checkpoint
from serve_app.models.folding import fold_batch_norms
from serve_app.models.unet import UNetMatting
from serve_app.settings import ModelSettings, resolve_path
from serve_app.types import UNKNOWN

TYPES = {"fp16": torch.float16, "fp32": torch.float32}
COLUMNS = (
    *(
        "precision",
        "batch",
        "ms",
        "ms, CUDA graph",
        "ms, compiled",
        "ms, own kernels",
        "images/s",
        "times batch 1",
    ),
    *("roofline ms", "of roofline", "GFLOP", "GB moved", "peak MB"),
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, default=ModelSettings().model_path)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--size", type=int, nargs=2, default=SMALL, metavar=("W", "H"))
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32])
    parser.add_argument("--precisions", nargs="+", choices=("fp16", "fp32"))
    parser.add_argument(
        "--compile", type=int, nargs="*", default=[], metavar="BATCH", help="compiled too, a GPU's"
    )
    parser.add_argument("--search", action="store_true", help="cuDNN times its algorithms first")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--json", type=Path, default=RESULTS / "roofline.json")
    arguments = parser.parse_args()
    device = find_device(arguments.device)
    run = Run("roofline")
    rows: list[list[Value]] = []
    notes: list[str] = []
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = arguments.search
    names = arguments.precisions or (["fp16", "fp32"] if device.type == "cuda" else ["fp32"])
    types = [TYPES[name] for name in names]
    peaks = {kind: (peak_flops(device, kind), peak_bandwidth(device)) for kind in types}
    for kind in types:
        network = load_checkpoint(resolve_path(arguments.model))[0]
        fold_batch_norms(network)  # as the engine does
        own = own_kernels(network, device) if kind == torch.float16 else None
        network = network.to(device, kind, memory_format=torch.channels_last)  # type: ignore[call-overload]
        rows += measure(network, own, device, kind, peaks[kind], arguments)
        notes += first_runs(network, own, device)
    points: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        points.setdefault(str(row[0]), []).append((float(row[1] or 0), float(row[6] or 0)))
    axes = ("batch", "images/s")
    plots.lines(plot_path(arguments.json), "The network alone", axes, points, log_x=True)
    notes += [
        f"Measured in {name_of(kind)}: {flops / 1e12:.3g} TFLOP/s, {bandwidth / 1e9:.0f} GB/s."
        for kind, (flops, bandwidth) in peaks.items()
    ]
    best = max(float(row[6] or 0) for row in rows)
    data = {"gpu_s_per_image": 1 / best} if device.type == "cuda" else {}
    size = f"{arguments.size[0]}x{arguments.size[1]}"
    run.finish([Table(f"{size}, {device.type}", COLUMNS, rows)], arguments.json, notes, data)


def own_kernels(network: nn.Module, device: torch.device) -> Network | None:
    """The network on our own kernels, and a line on how near its answer is."""
    if device.type != "cuda" or not isinstance(network, UNetMatting):
        return None
    network.to(device)
    began = time.perf_counter()
    own, said = choose_kernels("auto", network, device, "fp16", compile=False)
    print(f"... {said}, ready in {time.perf_counter() - began:.1f} s", flush=True)
    return own


def agreement(network: nn.Module, own: Network, rgb: Tensor, trimap: Tensor) -> str:
    """How far our own kernels are from PyTorch's operations in FP32."""
    exact = copy.deepcopy(network).float()
    apart = (own(rgb, trimap).int() - exact(rgb, trimap).int()).abs()
    half = (network(rgb, trimap).int() - exact(rgb, trimap).int()).abs()
    return (
        f"of 255 from PyTorch in fp32, batch {len(rgb)}: own kernels {apart.max()} at most, "
        f"{apart.float().mean():.4f} on average; PyTorch in fp16 {half.max()}, "
        f"{half.float().mean():.4f}"
    )


def first_runs(network: nn.Module, own: Network | None, device: torch.device) -> list[str]:
    """How long a shape's first run takes, which nothing has run before."""
    if device.type != "cuda":
        return []
    rgb = torch.zeros(2, 448, 736, 3, dtype=torch.uint8, device=device)
    trimap = torch.zeros(2, 448, 736, dtype=torch.uint8, device=device)
    said = []
    ways = {"PyTorch's kernels": network} | ({"our own kernels": own} if own else {})
    for name, way in ways.items():
        with torch.inference_mode():
            torch.cuda.synchronize()
            began = time.perf_counter()
            way(rgb, trimap)
            torch.cuda.synchronize()
        said.append(f"The first run of a shape on {name}: {time.perf_counter() - began:.3f} s.")
    return said


def measure(
    network: nn.Module,
    own: Network | None,
    device: torch.device,
    kind: torch.dtype,
    peaks: tuple[float, float],
    arguments: argparse.Namespace,
) -> Iterator[list[Value]]:
    """A row for each batch size."""
    width, height = arguments.size
    alone: float | None = None
    for batch in arguments.batches:
        rgb = torch.randint(0, 256, (batch, height, width, 3), dtype=torch.uint8, device=device)
        trimap = torch.full((batch, height, width), UNKNOWN, dtype=torch.uint8, device=device)
        compiles = batch in arguments.compile
        with torch.inference_mode():
            eager = seconds_of(partial(network, rgb, trimap), device, arguments.runs)
            layers = layer_costs(network, rgb, trimap)
            graph, peak = recorded(network, rgb, trimap, arguments.runs)
            ours, our_peak = None, None
            if own is not None:
                print(f"... {agreement(network, own, rgb, trimap)}", flush=True)
                ours, our_peak = recorded(own, rgb, trimap, arguments.runs)
            compiled, compiled_peak = None, None
            if compiles:
                fast = torch.compile(network, dynamic=False)
                compiled, compiled_peak = recorded(fast, rgb, trimap, arguments.runs)
        limit = sum(max(f / peaks[0], b / peaks[1]) for f, b in layers)
        best = min(seconds for seconds in (eager, graph, compiled, ours) if seconds)
        alone = alone or best / batch
        print(f"... {name_of(kind)}, batch {batch}: {1000 * best:.3g} ms", flush=True)
        yield [
            name_of(kind),
            batch,
            1000 * eager,
            1000 * graph if graph else None,
            1000 * compiled if compiled else None,
            1000 * ours if ours else None,
            batch / best,
            alone * batch / best,
            1000 * limit,
            f"{limit / best:.0%}",
            sum(f for f, _ in layers) / 1e9,
            sum(b for _, b in layers) / 1e9,
            {compiled: compiled_peak, ours: our_peak}.get(best, peak),
        ]


def layer_costs(network: nn.Module, rgb: Tensor, trimap: Tensor) -> list[tuple[float, float]]:
    """Operations and bytes of each convolution and matrix product, in the order of their run."""
    costs: list[tuple[float, float]] = []
    with FlopCounterMode(display=False) as counter, _watching(network, counter, costs):
        network(rgb, trimap)
    return costs


@contextmanager
def _watching(
    network: nn.Module, counter: FlopCounterMode, costs: list[tuple[float, float]]
) -> Iterator[None]:
    before = [0.0]

    def enter(*_: Any) -> None:
        before[0] = float(counter.get_total_flops())

    def leave(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        tensors = [*inputs, output, *layer.parameters(recurse=False)]
        moved = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        operations = float(counter.get_total_flops()) - before[0]
        if operations:
            costs.append((operations, float(moved)))

    hooks = []
    for layer in network.modules():
        if any(True for _ in layer.parameters(recurse=False)):
            hooks.append(layer.register_forward_pre_hook(enter))
            hooks.append(layer.register_forward_hook(leave))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def recorded(
    network: Callable[[Tensor, Tensor], Tensor], rgb: Tensor, trimap: Tensor, runs: int
) -> tuple[float | None, int | None]:
    """Seconds of a run replayed from a CUDA graph, and the peak of memory, MB; None on a CPU."""
    if rgb.device.type != "cuda":
        return None, None
    torch.cuda.empty_cache()  # else what other ways left counts too
    torch.cuda.reset_peak_memory_stats()
    replayed = RecordedNetwork(network, rgb.device)
    seconds = seconds_of(partial(replayed, rgb, trimap), rgb.device, runs)
    return seconds, round(torch.cuda.max_memory_reserved() / 1e6)


def seconds_of(function: Callable[[], object], device: torch.device, runs: int) -> float:
    """Median seconds of a run, by the GPU's own clock where there is one."""
    for _ in range(3):
        function()
    taken = []
    for _ in range(runs):
        if device.type == "cuda":
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            function()
            end.record()
            torch.cuda.synchronize()
            taken.append(start.elapsed_time(end) / 1000)
        else:
            began = time.perf_counter()
            function()
            taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def peak_flops(device: torch.device, kind: torch.dtype) -> float:
    """Operations a second of a large matrix product."""
    side = 8192 if device.type == "cuda" else 1024
    a, b = (torch.randn(side, side, device=device).to(kind) for _ in range(2))
    return 2 * side**3 / seconds_of(lambda: a @ b, device, 10)


def peak_bandwidth(device: torch.device) -> float:
    """Bytes a second of a large copy: each is read and written."""
    size = 1 << (30 if device.type == "cuda" else 26)
    source = torch.zeros(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * size / seconds_of(lambda: target.copy_(source), device, 10)


def name_of(kind: torch.dtype) -> str:
    return next(name for name, one in TYPES.items() if one == kind)


if __name__ == "__main__":
    main()

"""Our own kernels, layer by layer, on a GPU: python -m benchmarks.kernels check, or tiles

`check` runs each layer of the network on what PyTorch's operations give in FP32 for the layers
before it, and says how far it is from them; one that does not compile or run is named, and the rest
go on.

`tiles` times each layer with several tiles, from a CUDA graph, and prints for each its microseconds
and bytes a second; what is quickest belongs into `serve_app/engines/kernels/tiles.py`. A tile whose
answer is too far from PyTorch's is marked WRONG, and never the best. `--workers` processes compile
first, beside each other, into Triton's cache on disk.
"""

import argparse
import itertools
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from serve_app.engines import fused
from serve_app.engines.kernels.dense import Dense
from serve_app.engines.kernels.depthwise import Depthwise
from serve_app.engines.kernels.expand_depthwise_project import ExpandDepthwiseProject
from serve_app.engines.kernels.outputs import AlphaHead
from serve_app.engines.kernels.pointwise import Pointwise
from serve_app.engines.kernels.stems import BlockStem, ViewStem
from serve_app.engines.kernels.sums import MeanThrough
from serve_app.engines.kernels.tiles import Tile, power_of_two
from serve_app.engines.kernels.weights import Inverted, inverted
from serve_app.models.checkpoint import load_checkpoint
from serve_app.models.efficientnet_lite import InvertedResidual
from serve_app.models.folding import fold_batch_norms
from serve_app.models.unet import UNetMatting, shrink_to, stretched_sigmoid
from serve_app.settings import ModelSettings, resolve_path

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
_REPEATS = 20  # launches in one graph
_REPLAYS = 5
_MOST_CHANNELS = 40  # of a block that is tried in one kernel and in three
_FURTHEST = 0.005  # of a layer's largest value


@dataclass(frozen=True)
class Call:
    """A layer and what it was called with."""

    name: str
    layer: Any
    arguments: tuple[Any, ...]
    options: dict[str, Any]

    def run(self, tile: Tile | None = None) -> Any:
        layer = self.layer if tile is None else replace(self.layer, tile=tile)
        return layer(*self.arguments, **self.options)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("check", "tiles", "compile"))
    parser.add_argument("--model", type=Path, default=ModelSettings().model_path)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--size", type=int, nargs=2, metavar=("W", "H"))
    parser.add_argument("--workers", type=int, default=8, help="processes that compile")
    parser.add_argument("--part", type=int, default=0, help="which of the workers `compile` is")
    parser.add_argument("--bandwidth", type=float, default=4180, help="of a large copy, GB/s")
    arguments = parser.parse_args()
    check = arguments.what == "check"
    batch = arguments.batch or (2 if check else 16)
    width, height = arguments.size or ((544, 192) if check else (1024, 576))
    network = load_checkpoint(resolve_path(arguments.model))[0]
    fold_batch_norms(network)
    network = network.to(DEVICE)
    torch.backends.cudnn.enabled = False  # it compiles for each shape
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.manual_seed(0)
    rgb = torch.randint(0, 256, (batch, height, width, 3), dtype=torch.uint8).to(DEVICE)
    trimap = torch.randint(0, 256, (batch, height, width), dtype=torch.uint8).to(DEVICE)
    with torch.inference_mode():
        calls = calls_of(network, rgb, trimap)
        if check:
            sys.exit(check_each(calls))
        if arguments.what == "compile":
            compile_part(calls, arguments.part, arguments.workers)
            return
        began = time.perf_counter()
        compile_beside(arguments)
        print(f"compiled in {time.perf_counter() - began:.0f} s", flush=True)
        time_each(distinct(calls), arguments.bandwidth)


def calls_of(network: UNetMatting, rgb: Tensor, trimap: Tensor) -> list[Call]:
    """Every layer with its arguments, as PyTorch's operations give them; each block also with the
    other way to run it.
    """
    own = fused.FusedNetwork(network)
    names = dict(layers_of(own))
    calls: list[Call] = []
    classes = (Pointwise, Depthwise, ExpandDepthwiseProject, Dense, ViewStem, BlockStem, AlphaHead)
    kept = {kind: kind.__call__ for kind in (*classes, MeanThrough)}
    functions = {name: getattr(fused, name) for name in ("view_of", "hints_of", "add_resized")}

    def noted(layer: Any, *arguments: Any, **options: Any) -> Any:
        calls.append(Call(names[id(layer)], layer, arguments, options))
        return REFERENCES[type(layer)](layer, *arguments, **options)

    def noted_function(name: str) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            calls.append(Call(name, functions[name], arguments, {}))
            return FUNCTIONS[name](*arguments)

        return call

    try:
        for kind in kept:
            kind.__call__ = noted  # type: ignore[method-assign]
        for name in functions:
            setattr(fused, name, noted_function(name))
        own(rgb, trimap)
        calls += other_ways(network, own, calls, names)
    finally:
        for kind, call in kept.items():
            kind.__call__ = call  # type: ignore[method-assign]
        for name, function in functions.items():
            setattr(fused, name, function)
    return calls


def other_ways(
    network: UNetMatting, own: fused.FusedNetwork, calls: list[Call], names: dict[int, str]
) -> list[Call]:
    """Blocks in one kernel that are three, and in three that are one."""
    inputs = {call.name: call.arguments[0] for call in calls}
    kept = len(calls)
    others: list[Inverted] = []
    for i, (block, plain) in enumerate(
        zip(own.context.blocks, network.context.encoder.blocks, strict=True)
    ):
        block_of = cast(InvertedResidual, plain)
        in_one = block.depthwise is None
        if isinstance(block_of.expand, nn.Identity):
            continue
        x = inputs[f"blocks.{i}.{'project' if in_one else 'expand'}"]
        if x.shape[3] > _MOST_CHANNELS:
            continue
        scale = max(2, network.config.context_side // max(x.shape[1:3]))
        other = inverted(block_of, scale, not in_one)
        for name in ("expand", "depthwise", "project"):
            at_once = 1 if in_one else 3
            names[id(getattr(other, name))] = f"blocks.{i}.{name} ({at_once} at once)"
        others.append(other)  # else another layer may get its id
        other(x)
    found = [call for call in calls[kept:] if ".expand" not in call.name]
    del calls[kept:]
    return found


def layers_of(own: fused.FusedNetwork) -> Iterator[tuple[int, str]]:
    for branch in (own.context, own.detail):
        for name, part in vars(branch).items():
            for i, one in enumerate(part if isinstance(part, list) else [part]):
                here = f"{name}.{i}" if isinstance(part, list) else name
                here = f"detail.{here}" if branch is own.detail else here
                yield id(one), here
                if isinstance(one, Inverted):
                    for field in ("expand", "depthwise", "project"):
                        yield id(getattr(one, field)), f"{here}.{field}"


def check_each(calls: list[Call]) -> int:
    """Print how far each layer is from its reference; how many are too far, or do not run."""
    bad = 0
    for call in calls:
        expected = expected_of(call)
        began = time.perf_counter()
        try:
            given = call.run()
            synchronise()
        except Exception as exc:  # whatever a compiler or a driver raises
            bad += 1
            last = "\n    ".join(str(exc).strip().splitlines()[-6:])
            print(f"FAILS   {describe(call)}: {type(exc).__name__}: {last}", flush=True)
            if "CUDA error" in str(exc) or "illegal" in str(exc):
                return bad + 100  # nothing runs after it
            continue
        wrong, apart = compare(given, expected)
        bad += wrong
        word = "WRONG   " if wrong else "ok      "
        seconds = time.perf_counter() - began
        print(f"{word}{describe(call)}: {apart}, {seconds:.2f} s", flush=True)
    print(f"{len(calls)} layers, {bad} bad")
    return bad


def expected_of(call: Call) -> Any:
    """What PyTorch's operations give."""
    if is_layer(call):
        return REFERENCES[type(call.layer)](call.layer, *call.arguments, **call.options)
    return FUNCTIONS[call.name](*call.arguments)


def compare(given: Any, expected: Any) -> tuple[bool, str]:
    """Whether an answer is too far from the expected one, and how far it is."""
    pairs = list(zip(tensors(given), tensors(expected), strict=True))
    # `amax` keeps NaN, which is too far; Python's `max` may not.
    apart = float(torch.stack([(a.float() - b.float()).abs().max() for a, b in pairs]).amax())
    size = max(float(b.float().abs().max()) for _, b in pairs)
    limit = 1.0 if pairs[0][0].dtype == torch.uint8 else _FURTHEST * max(size, 1.0)
    return not apart <= limit, f"{apart:.2g} of {size:.3g}"


def synchronise() -> None:
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()


def compile_beside(arguments: argparse.Namespace) -> None:
    children = [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "benchmarks.kernels", "compile", "--part", str(part)),
                *("--workers", str(arguments.workers), "--model", str(arguments.model)),
                *("--batch", "1", "--size", "544", "192"),
            ]
        )
        for part in range(arguments.workers)
    ]
    for child in children:
        child.wait()


def compile_part(calls: list[Call], part: int, parts: int) -> None:
    every = [(call, tile) for call in distinct(calls) for tile in candidates(call.layer)]
    every.sort(key=lambda pair: (describe(pair[0]).split()[1:2], flags(pair[0]), repr(pair[1])))
    size = -(-len(every) // parts)  # neighbours are often one kernel, which one process compiles
    for call, tile in every[part * size :][:size]:
        try:
            call.run(tile)
            synchronise()
        except Exception as exc:
            print(f"{call.name} {tile}: {type(exc).__name__} {str(exc)[:200]}", flush=True)


def flags(call: Call) -> str:
    """What a kernel is compiled for, beside its tile."""
    return " ".join(word for word in describe(call).split(" w(")[-1].split() if word[0].isalpha())


def distinct(calls: list[Call]) -> list[Call]:
    """One of those that do the same at the same size."""
    return list({describe(call).split(" ", 1)[1]: call for call in calls[::-1]}.values())[::-1]


def time_each(calls: list[Call], bandwidth: float) -> None:
    total = best_total = 0.0
    for call in calls:
        moved = bytes_of(call)
        ideal = moved / bandwidth / 1e3
        expected = expected_of(call)
        own = getattr(call.layer, "tile", None)
        rows: list[tuple[float, Tile | None]] = []
        for tile in [own, *candidates(call.layer)]:
            try:
                wrong, apart = compare(call.run(tile), expected)
                if wrong:
                    print(f"    WRONG {call.name} {shown(tile)}: {apart}", flush=True)
                else:
                    rows.append((microseconds(partial(call.run, tile)), tile))
            except Exception as exc:
                print(f"    {tile}: {type(exc).__name__} {str(exc)[:100]}", flush=True)
        if not rows or rows[0][1] is not own:
            continue  # its own tile fails, which is said above
        now = rows[0][0]
        rows.sort(key=lambda row: row[0])
        best, tile = rows[0]
        if "at once" not in call.name:
            total, best_total = total + now, best_total + best
        print(
            f"{describe(call)}: {now:.1f} us, {moved / now / 1e3:.0f} GB/s, {ideal / now:.0%}; "
            f"best {best:.1f} us, {ideal / best:.0%} {shown(tile)}; "
            + ", ".join(f"{shown(other)} {us:.1f}" for us, other in rows[1:4]),
            flush=True,
        )
    print(f"sum of the distinct layers: {total:.0f} us, with the best tiles {best_total:.0f} us")


def candidates(layer: Any) -> list[Tile]:
    if not hasattr(layer, "tile"):
        return []
    own: Tile = layer.tile
    if isinstance(layer, Pointwise):
        before, after = layer.weight.shape
        inners = {min(power_of_two(before), n) for n in (32, 64, 128)}
        shapes = [(32, 4), (64, 4), (128, 4), (128, 8)]
        widths = {min(power_of_two(after), n) for n in (32, 64, 128)}
        return [
            Tile(1, pixels, channels, inner, warps, 3 if before > inner else 1)
            for inner, (pixels, warps), channels in itertools.product(
                sorted(inners)[-2:], shapes, sorted(widths)
            )
        ]
    if isinstance(layer, Depthwise):
        shapes4 = [
            *((8, 8, 32, 4), (4, 8, 32, 2), (4, 8, 32, 4), (8, 8, 16, 2), (8, 16, 32, 8)),
            *((4, 16, 32, 4), (8, 8, 64, 8), (4, 4, 32, 1), (4, 4, 64, 2), (2, 8, 32, 1)),
            *((8, 16, 16, 4), (4, 8, 64, 4)),
        ]
        plain = [Tile(r, c, channels, warps=w) for r, c, channels, w in shapes4]
        if layer.stride > 1:
            return plain
        shapes4 = [(4, 8, 32, 4), (2, 8, 32, 2), (1, 16, 32, 2), (2, 16, 32, 2), (2, 16, 32, 4)]
        shapes4 += [(1, 16, 32, 1), (1, 32, 32, 2), (4, 16, 32, 4)]
        return plain + [Tile(r, c, k, warps=w, pairs=True) for r, c, k, w in shapes4]
    if isinstance(layer, ExpandDepthwiseProject):
        shapes4 = [(8, 8, 32, 4), (8, 16, 32, 8), (8, 16, 16, 4), (8, 8, 16, 4), (4, 16, 32, 4)]
        shapes4 += [(8, 8, 64, 8), (4, 8, 32, 4), (8, 16, 32, 4)]
        return [Tile(r, c, own.channels, i, w, 1) for r, c, i, w in shapes4]
    shapes3 = [(8, 16, 4), (8, 16, 8), (8, 8, 4), (16, 16, 8), (4, 32, 4), (4, 16, 4), (8, 32, 8)]
    return [replace(own, rows=r, columns=c, warps=w) for r, c, w in shapes3]


def microseconds(function: Callable[[], Any]) -> float:
    """Of one launch among many in a graph; `torch.cuda.graph` would tidy up before each."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.stream(stream):
        function()
        torch.cuda.synchronize()
        graph.capture_begin()
        for _ in range(_REPEATS):
            function()
        graph.capture_end()
        graph.replay()
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        for _ in range(_REPLAYS):
            graph.replay()
        end.record()
        torch.cuda.synchronize()
    return 1000 * start.elapsed_time(end) / (_REPEATS * _REPLAYS)


def bytes_of(call: Call) -> int:
    own = [getattr(call.layer, f.name) for f in fields(call.layer)] if is_layer(call) else []
    given = call.run()
    every = [*tensors(own), *tensors(call.arguments), *tensors(list(call.options.values()))]
    return sum(t.numel() * t.element_size() for t in every + unique(tensors(given)))


def is_layer(call: Call) -> bool:
    return type(call.layer) in REFERENCES


def describe(call: Call) -> str:
    """Its name, then all that makes two layers the same to a clock."""
    layer, x = call.layer, call.arguments[0]
    words = [call.name.replace(" ", "_"), type(layer).__name__, f"{tuple(x.shape)}"]
    if "at once" in call.name:
        words.append("other way")
    if hasattr(layer, "weight"):
        words.append(f"w{tuple(layer.weight.shape)}")
    if hasattr(layer, "stride"):
        words.append(f"k{getattr(layer, 'kernel', 3)} s{layer.stride}")
    if len(call.arguments) > 1 and call.arguments[1] is not None:
        words.append("+1")
    words += [key for key, value in call.options.items() if value is not None]
    return " ".join(words)


def shown(tile: Tile | None) -> str:
    if tile is None:
        return "-"
    pairs = " pairs" if tile.pairs else ""
    words = f"c{tile.channels} i{tile.inner} w{tile.warps} s{tile.stages}"
    return f"[{tile.rows}x{tile.columns} {words}{pairs}]"


def tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, list | tuple):
        return [tensor for part in value for tensor in tensors(part)]
    return []


def unique(values: list[Tensor]) -> list[Tensor]:
    return list({tensor.data_ptr(): tensor for tensor in values}.values())


def first(x: Tensor) -> Tensor:
    return x.float().permute(0, 3, 1, 2)


def last(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1).contiguous().half()


def resized(x: Tensor, size: Any) -> Tensor:
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=False)


def reference_pointwise(
    layer: Pointwise,
    x: Tensor,
    residual: Tensor | None = None,
    hint: Tensor | None = None,
    coarse: Tensor | None = None,
    image_bias: Tensor | None = None,
) -> Tensor:
    y = x.float() @ layer.weight.float()
    y = y + (layer.bias if image_bias is None else image_bias[:, None, None])
    if hint is not None and layer.hint_weight is not None:
        y = y + hint[..., None].float() * layer.hint_weight
    y = (y, y.relu(), y.clamp(0, 6))[layer.activation]
    y = y if residual is None else y + residual.float()
    if coarse is not None:
        y = y + resized(first(coarse), y.shape[1:3]).permute(0, 2, 3, 1)
    return y.half()


def reference_depthwise(layer: Depthwise | ExpandDepthwiseProject, x: Tensor) -> Tensor:
    channels, side = x.shape[3], layer.kernel
    weight = layer.weight.float().T.reshape(channels, 1, side, side).contiguous()
    y = F.conv2d(first(x), weight, layer.bias, layer.stride, side // 2, groups=channels)
    return last(y.clamp(0, 6))


def reference_whole(
    layer: ExpandDepthwiseProject, x: Tensor, residual: Tensor | None = None
) -> Tensor:
    x = (x.float() @ layer.expand.float() + layer.expand_bias).clamp(0, 6)
    y = reference_depthwise(layer, x).float() @ layer.project.float() + layer.project_bias
    return (y if residual is None else y + residual.float()).half()


def taps(weight: Tensor) -> Tensor:
    side = 3
    return weight.float().reshape(side, side, *weight.shape[1:]).permute(3, 2, 0, 1).contiguous()


def reference_dense(layer: Dense, x: Tensor) -> tuple[Tensor, Tensor]:
    y = F.conv2d(first(x), taps(layer.weight), layer.bias, layer.stride, 1).relu()
    y = y.permute(0, 2, 3, 1)
    logits = None
    if layer.head is not None and layer.head_bias is not None:
        logits = y @ layer.head + layer.head_bias
    out = y.contiguous().half()
    return out, out if logits is None else logits


def reference_view_stem(layer: ViewStem, view: Tensor) -> Tensor:
    rows = layer.weight.float().view(3, 16, -1)[:, :12].reshape(3, 3, 4, -1)
    return last(F.conv2d(first(view), rows.permute(3, 2, 0, 1), layer.bias, 2, 1).clamp(0, 6))


def reference_block_stem(layer: BlockStem, rgb: Tensor, trimap: Tensor, coarse: Tensor) -> Tensor:
    rows = layer.weight.float().view(6, 32, -1)
    colour = rows[:, :18].reshape(6, 6, 3, -1)
    weight = torch.cat([colour, rows[:, 18:24].reshape(6, 6, 1, -1)], 2).permute(3, 2, 0, 1)
    y = F.conv2d(UNetMatting().to(DEVICE).image(rgb, trimap), weight, layer.bias, 4, 2).relu()
    return last(y + resized(first(coarse), y.shape[2:]))


def reference_alpha(layer: AlphaHead, x: Tensor, coarse: Tensor) -> Tensor:
    enlarged = F.pad(resized(coarse[:, None], x.shape[1:3]), (1, 1, 1, 1), mode="replicate")
    logits = F.conv2d(first(x), taps(layer.weight), layer.bias, 1, 1)
    logits = logits + F.conv2d(enlarged, layer.enlarge.T.reshape(16, 1, 3, 3).contiguous())
    alpha = (stretched_sigmoid(logits).clamp(0, 1) * 255).round().to(torch.uint8)
    return F.pixel_shuffle(alpha, 4)[:, 0]


def reference_mean(layer: MeanThrough, x: Tensor) -> Tensor:
    return x.float().mean((1, 2)) @ layer.weight.T + layer.bias


def reference_view(rgb: Tensor, trimap: Tensor, _: int, size: tuple[int, int]) -> Tensor:
    side = max(size)
    return last(shrink_to(UNetMatting().to(DEVICE).image(rgb, trimap), side))


def reference_hints(view: Tensor) -> list[Tensor]:
    levels, hint = [], view[..., 3].float()[:, None]
    for step in (4, 2, 2, 2):
        hint = resized(hint, (hint.shape[2] // step, hint.shape[3] // step))
        levels.append(hint[:, 0].half())
    return levels


def reference_sum(x: Tensor, coarse: Tensor) -> Tensor:
    return last(first(x) + resized(first(coarse), x.shape[1:3]))


REFERENCES: dict[type, Callable[..., Any]] = {
    Pointwise: reference_pointwise,
    Depthwise: reference_depthwise,
    ExpandDepthwiseProject: reference_whole,
    Dense: reference_dense,
    ViewStem: reference_view_stem,
    BlockStem: reference_block_stem,
    AlphaHead: reference_alpha,
    MeanThrough: reference_mean,
}
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "view_of": reference_view,
    "hints_of": reference_hints,
    "add_resized": reference_sum,
}

if __name__ == "__main__":
    main()

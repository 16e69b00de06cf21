"""What each layer takes with each tile, from a CUDA graph."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from benchmarks.kernels.calls import Call, bytes_of, describe, expected_of
from benchmarks.kernels.candidates import candidates
from benchmarks.kernels.checking import compare
from serve_app.engines.kernels.tiles import Tile

_REPEATS = 20  # launches in one graph
_REPLAYS = 5


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


def shown(tile: Tile | None) -> str:
    if tile is None:
        return "-"
    pairs = " pairs" if tile.pairs else ""
    words = f"c{tile.channels} i{tile.inner} w{tile.warps} s{tile.stages}"
    return f"[{tile.rows}x{tile.columns} {words}{pairs}]"

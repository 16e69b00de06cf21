"""Every layer with every tile, compiled by processes beside each other into Triton's cache."""

import argparse
import subprocess
import sys

from benchmarks.kernels.calls import Call, describe, distinct
from benchmarks.kernels.candidates import candidates
from benchmarks.kernels.device import synchronise


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

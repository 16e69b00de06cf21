"""How far each layer's answer is from its reference."""

import time
from typing import Any

import torch

from benchmarks.kernels.calls import Call, describe, expected_of, tensors
from benchmarks.kernels.device import synchronise

_FURTHEST = 0.005  # of a layer's largest value


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


def compare(given: Any, expected: Any) -> tuple[bool, str]:
    """Whether an answer is too far from the expected one, and how far it is."""
    pairs = list(zip(tensors(given), tensors(expected), strict=True))
    # `amax` keeps NaN, which is too far; Python's `max` may not.
    apart = float(torch.stack([(a.float() - b.float()).abs().max() for a, b in pairs]).amax())
    size = max(float(b.float().abs().max()) for _, b in pairs)
    limit = 1.0 if pairs[0][0].dtype == torch.uint8 else _FURTHEST * max(size, 1.0)
    return not apart <= limit, f"{apart:.2g} of {size:.3g}"

"""Pieces of a benchmark in processes of their own."""

import os

import pytest

from benchmarks.child import Child, measure_apart, peak_memory

SIZE = 200_000_000


def hold(size: int) -> int:
    return len(bytearray(b"x") * size)


def fail() -> None:
    raise ValueError("as it was")


class Dying:
    def leave(self) -> None:
        os._exit(3)


def test_a_peak_is_the_functions_own() -> None:
    held = bytearray(b"x") * SIZE  # this process's memory must not count
    small, large = (measure_apart(hold, size) for size in (1, SIZE))
    assert (small.value, large.value) == (1, SIZE)
    assert SIZE * 0.9 < large.peak_memory - small.peak_memory < SIZE * 1.3
    assert peak_memory() > len(held)
    assert small.peak_gpu_memory is None


def test_an_exception_comes_back_as_it_was() -> None:
    with pytest.raises(ValueError, match="as it was"):
        measure_apart(fail)


def test_a_dead_process_is_told() -> None:
    with Child(Dying) as child, pytest.raises(RuntimeError, match="exit code 3"):
        child.call("leave")

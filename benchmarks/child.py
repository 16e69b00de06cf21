"""Runs a piece of a benchmark in a fresh process, so that its peak of memory is its own."""

import multiprocessing
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Measured(Generic[T]):
    """What a function gave, and the most memory that its process ever held."""

    value: T
    peak_memory: int  # bytes of host memory (VmHWM), the interpreter and its libraries among them
    peak_gpu_memory: int | None  # bytes that torch held on the GPU; None where it used none


def measure_apart(function: Callable[..., T], *arguments: Any) -> Measured[T]:
    """Run a function of a module in a fresh interpreter."""
    with Child(_Once) as child:
        value = child.call("run", function, arguments)
        return Measured(value, *child.peaks())


class _Once:
    def run(self, function: Callable[..., T], arguments: tuple[Any, ...]) -> T:
        return function(*arguments)


class Child:
    """An object in a fresh interpreter; its methods are called one at a time."""

    def __init__(self, make: Callable[..., Any], *arguments: Any) -> None:
        self._ours, theirs = multiprocessing.Pipe()
        # Not forked: a fork's peak starts at its parent's.
        self._process = multiprocessing.get_context("spawn").Process(
            target=_serve, args=(theirs, make, arguments), daemon=True
        )
        self._process.start()
        theirs.close()
        self._receive()  # made, or the error that prevented it

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def call(self, method: str, *arguments: Any) -> Any:
        """Raises what the method raises; RuntimeError where its process died."""
        self._ours.send((method, arguments))
        return self._receive()

    def peaks(self) -> tuple[int, int | None]:
        """Most host memory so far, bytes, and most GPU memory, None where there was none."""
        return self.call("")  # type: ignore[no-any-return]

    def close(self) -> None:
        self._ours.close()
        self._process.join(10)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def _receive(self) -> Any:
        try:
            failed, value = self._ours.recv()
        except EOFError as exc:
            self._process.join(10)
            raise RuntimeError(
                f"a measured process died with exit code {self._process.exitcode}: out of memory "
                "is the usual reason"
            ) from exc
        if failed:
            raise value
        return value


def _serve(pipe: Connection, make: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    try:
        made = make(*arguments)
        pipe.send((False, None))
        while True:
            try:
                method, given = pipe.recv()
            except EOFError:
                return
            answer = getattr(made, method)(*given) if method else (peak_memory(), _gpu_peak())
            pipe.send((False, answer))
    except Exception as exc:
        pipe.send((True, exc))


def peak_memory(pid: int | None = None) -> int:
    """The most host memory that a process, this one if none is named, has held; bytes."""
    for line in Path(f"/proc/{pid or 'self'}/status").read_text("ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise OSError("/proc has no VmHWM: memory is measured on Linux alone")


def _gpu_peak() -> int | None:
    import sys

    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return None
    return int(torch.cuda.max_memory_reserved())

"""Mutated files against the decoder, in children: a crash is the end of a child and of no run."""

import multiprocessing
import os
import random
import resource
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection

import psutil

from benchmarks.fuzz.files import mutated_file
from benchmarks.fuzz.ledger import Finding, Ledger

_HANGS_S = 15.0  # of processor time for one file: what limits.decode_timeout_s allows
_STUCK_S = 600.0  # however busy the machine is
_LOOK_S = 1.0
_MEMORY = 8 * 2**30  # bytes of address space; the limits on pixels keep a decoder far below it
_SMALL = 1_000_000  # pixels up to which what decodes goes through the whole pipeline

Judge = Callable[[bytes], tuple[str, str]]


def fuzz_decoder(ledger: Ledger, seed: int, count: int, workers: int) -> None:
    """Decode `count` mutated files, `workers` at a time; the ledger tells what came of it."""
    own = threading.local()
    children: list[DecoderChild] = []

    def work(chunk: range) -> None:
        if not hasattr(own, "child"):
            own.child = DecoderChild(seed)
            children.append(own.child)
        ledger.add(chunk, *own.child.run(chunk, ledger))

    try:
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(work, ledger.missing(count)))
    finally:
        for child in children:
            child.end()


def file_of(seed: int, index: int) -> bytes:
    """The mutated file of an index."""
    return mutated_file(random.Random(f"{seed}:{index}"))[1]


class DecoderChild:
    """A process that decodes; started again after each crash."""

    def __init__(self, seed: int, judge: Judge | None = None) -> None:
        self._seed = seed
        self._judge = judge or outcome_of
        self._start()

    def run(self, chunk: range, ledger: Ledger) -> tuple[Counter[str], list[Finding]]:
        """Have a chunk decoded; the outcomes by name, and what must not have happened."""
        outcomes: Counter[str] = Counter()
        findings: list[Finding] = []
        index = chunk.start
        self._pipe.send((index, chunk.stop))
        while index < chunk.stop:
            outcome, detail = self._receive()
            if outcome in ("crash", "hang", "unexpected"):
                finding = Finding(index, outcome, detail)
                findings.append(finding)
                ledger.keep(finding, file_of(self._seed, index))
            outcomes[outcome] += 1
            index += 1
            if outcome in ("crash", "hang") and index < chunk.stop:
                self._restart()
                self._pipe.send((index, chunk.stop))
        return outcomes, findings

    def _receive(self) -> tuple[str, str]:
        """The outcome of the next file, one way or another."""
        started, began = self._processor_time(), time.monotonic()
        try:
            while not self._pipe.poll(_LOOK_S):
                taken = self._processor_time() - started
                if taken > _HANGS_S or time.monotonic() - began > _STUCK_S:
                    return "hang", f"over {taken:.0f} s of processor time"
            outcome, detail = self._pipe.recv()
        except (EOFError, ConnectionResetError):
            self._process.join(10)
            return "crash", f"the process ended with {self._process.exitcode}"
        return str(outcome), str(detail)

    def _processor_time(self) -> float:
        try:
            times = psutil.Process(self._process.pid).cpu_times()
        except psutil.Error:
            return 0.0
        return float(times.user + times.system)

    def end(self) -> None:
        self._process.kill()
        self._process.join(10)
        self._pipe.close()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_decode_forever, args=(theirs, self._seed, self._judge)
        )
        self._process.daemon = True
        self._process.start()
        theirs.close()

    def _restart(self) -> None:
        self.end()
        self._start()


def _decode_forever(pipe: Connection, seed: int, judge: Judge) -> None:
    """What the child does: a range of indices in, an outcome for each one out."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # decoders print what they think of each file
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    while True:
        try:
            start, stop = pipe.recv()
        except EOFError:
            return
        for index in range(start, stop):
            pipe.send(judge(file_of(seed, index)))


def outcome_of(data: bytes) -> tuple[str, str]:
    """Decode a file, and matte it where that is quick: the outcome, and what was unexpected."""
    import warnings

    from serve_app.engines.fake import FakeEngine
    from serve_app.errors import InputError
    from serve_app.imaging.decode import decode
    from serve_app.options import Options
    from serve_app.pipeline import Pipeline
    from serve_app.settings import Limits
    from serve_app.types import Upload

    limits = Limits()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a decoder's word on a broken file
            height, width = decode(data, limits).size
            if height * width <= _SMALL:
                Pipeline(FakeEngine(), limits, 64).run(Upload(data), Options())
    except InputError as exc:
        return f"refused: {exc.code}", ""
    except BaseException as exc:  # anything else is a finding
        return "unexpected", repr(exc)
    return "decoded", ""

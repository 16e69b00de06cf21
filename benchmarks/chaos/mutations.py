"""Mutated files against the decoder, and mutated requests against the service."""

import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.chaos.config import started
from benchmarks.chaos.outcome import Outcome, at_least, at_most
from benchmarks.chaos.plan import Plan
from benchmarks.chaos.processes import replicas_and_proxies
from benchmarks.chaos.progress import say
from benchmarks.fuzz.decoder import fuzz_decoder
from benchmarks.fuzz.ledger import Ledger
from benchmarks.fuzz.service import fuzz_service

_SEED = 1
_CLIENTS = 6
_SAY_EVERY_S = 30


def mutations(plan: Plan) -> Outcome:
    """As many mutations as the plan says, in a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        workers = os.cpu_count() or 1
        return run_mutations(Path(folder), _SEED, plan.mutations, plan.mutations, workers)


def run_mutations(folder: Path, seed: int, files: int, requests: int, workers: int) -> Outcome:
    """No crash, no hang and no exception of the decoder; no 5xx of the service."""
    decoder, service = Ledger(folder, "file", seed), Ledger(folder, "request", seed)
    with telling(decoder, files):
        fuzz_decoder(decoder, seed, files, workers)
    died = 0
    if any(service.missing(requests)):
        with started() as running, telling(service, requests):
            before = {process.pid for process in replicas_and_proxies(running)}
            fuzz_service(running.url, service, seed, requests, _CLIENTS)
            died = len(before - {process.pid for process in replicas_and_proxies(running)})
    decoded, answered = decoder.outcomes, service.outcomes
    return Outcome(
        [
            at_most("crashes, hangs and stray exceptions", len(decoder.findings), 0),
            at_most("5xx answers, or none", len(service.findings), 0),
            at_most("replicas and proxies that died", died, 0),
            at_least("share of files that still decode", decoded["decoded"] / files, 0.02),
            at_least("share of requests answered with 200", answered["200"] / requests, 0.02),
        ],
        {
            "files": decoder.done,
            **{f"files {name}": number for name, number in sorted(decoded.items())},
            "requests": service.done,
            **{f"requests answered {name}": number for name, number in sorted(answered.items())},
        },
    )


@contextmanager
def telling(ledger: Ledger, count: int) -> Iterator[None]:
    """Say now and then how far it is."""
    over = threading.Event()

    def tell() -> None:
        while not over.wait(_SAY_EVERY_S):
            say(f"{ledger.done} of {count} mutations, {len(ledger.findings)} findings")

    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()

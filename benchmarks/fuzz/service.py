"""Mutated requests against a running service over HTTP: whatever comes, no answer is a 5xx."""

import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx

from benchmarks.fuzz.ledger import Finding, Ledger
from benchmarks.fuzz.surfaces import mutated_request

_TIMEOUT_S = 120


def fuzz_service(url: str, ledger: Ledger, seed: int, count: int, clients: int) -> None:
    """Send `count` mutated requests, `clients` at a time; the ledger tells what came of it."""
    own = threading.local()

    def work(chunk: range) -> None:
        if not hasattr(own, "client"):
            own.client = httpx.Client(timeout=_TIMEOUT_S, trust_env=False)
        ledger.add(chunk, *_run(own.client, url, chunk, ledger, seed))

    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(work, ledger.missing(count)))


def _run(
    client: httpx.Client, url: str, chunk: range, ledger: Ledger, seed: int
) -> tuple[Counter[str], list[Finding]]:
    outcomes: Counter[str] = Counter()
    findings = []
    for index in chunk:
        request = mutated_request(random.Random(f"{seed}:{index}"), url)
        body = request.read()
        outcome, detail = _answer(client, request)
        outcomes[outcome] += 1
        if outcome.startswith("5") or outcome == "no answer":
            detail = f"{request.method} {request.url}\n{request.headers.raw}\n{detail}"
            findings.append(Finding(index, outcome.replace(" ", "-"), detail))
            ledger.keep(findings[-1], body)
    return outcomes, findings


def _answer(client: httpx.Client, request: httpx.Request) -> tuple[str, str]:
    try:
        response = client.send(request)
    except httpx.TransportError as exc:
        return "no answer", repr(exc)
    return str(response.status_code), response.text if response.status_code >= 500 else ""

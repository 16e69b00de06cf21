"""Mutated requests against a running service over HTTP: whatever comes, no answer is a 5xx.

Several headers that promise 50 megapixels at once are rightly refused as too much, with a time to
wait: such a request has not been tried yet, so that it is sent again then, and counted.
"""

import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx

from benchmarks.fuzz.ledger import Finding, Ledger
from benchmarks.fuzz.surfaces import mutated_request

_TIMEOUT_S = 120
_MOST_WAITS = 5  # a request refused as too much once more is a finding
_AGAIN = "503 and sent again"


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
        outcome, detail, waits = _answer(client, request)
        outcomes[outcome] += 1
        if waits:
            outcomes[_AGAIN] += waits
        if outcome.startswith("5") or outcome == "no answer":
            detail = f"{request.method} {request.url}\n{request.headers.raw}\n{detail}"
            findings.append(Finding(index, outcome.replace(" ", "-"), detail))
            ledger.keep(findings[-1], body)
    return outcomes, findings


def _answer(client: httpx.Client, request: httpx.Request) -> tuple[str, str, int]:
    """The status, what an error says, and how many times it had to wait before."""
    for waits in range(_MOST_WAITS + 1):
        try:
            response = client.send(request)
        except httpx.TransportError as exc:
            return "no answer", repr(exc), waits
        wait = response.headers.get("retry-after")
        if response.status_code != 503 or wait is None or waits == _MOST_WAITS:
            break
        time.sleep(float(wait))
    return str(response.status_code), response.text if response.status_code >= 500 else "", waits

"""Random and broken requests, the same ones every time: whatever comes, nobody's fault is a 5xx."""

import random
from collections import Counter

import httpx
import pytest

from benchmarks.fuzz.surfaces import SURFACES, mutated_request

REQUESTS = 1000


@pytest.mark.parametrize("path", SURFACES)
def test_no_request_is_answered_with_a_5xx(client: httpx.Client, path: str) -> None:
    rng = random.Random(7)
    statuses: Counter[int] = Counter()
    for i in range(REQUESTS):
        request = SURFACES[path](rng)
        response = client.request(request.pop("method", "POST"), path, **request)
        statuses[response.status_code] += 1
        assert response.status_code < 500, (i, request, response.text)
    # The damage must not be such that nothing gets through to the decoders and beyond.
    assert statuses[200] > 30
    assert statuses[400] > 100


def test_the_same_seed_is_the_same_request() -> None:
    def requests(seed: str) -> list[tuple[str, bytes]]:
        made = (mutated_request(random.Random(f"{seed}:{i}"), "http://x") for i in range(50))
        return [(str(request.url), request.read()) for request in made]

    assert requests("1") == requests("1")
    assert requests("1") != requests("2")

"""One trace through every replica of the running service."""

import time

import httpx

from benchmarks.running_service import RunningService
from tests.collector import Collector
from tests.conftest import encoded, picture

PARENTS = {
    "request": None,
    "receive": "request",
    "matte": "request",
    "preprocess": "matte",
    "decode": "preprocess",
    "network": "matte",
    "queue": "network",
    "infer": "network",
    "postprocess": "matte",
    "post": "postprocess",
    "encode": "postprocess",
}


def test_a_clients_trace_goes_through_every_stage(
    service: RunningService, collector: Collector
) -> None:
    trace_id, client = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    answer = httpx.post(
        f"{service.url}/v1/matting?quality=90",
        files={"image": encoded(picture())},
        headers={"traceparent": f"00-{trace_id}-{client}-01"},
        timeout=60,
    )
    assert answer.status_code == 200
    deadline = time.monotonic() + 60  # each process sends what it has every 5 s
    while len(spans := collector.trace(trace_id)) < len(PARENTS) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert set(spans) == set(PARENTS)
    assert spans["request"].parent_span_id.hex() == client
    for name, parent in PARENTS.items():
        assert spans[name].start_time_unix_nano <= spans[name].end_time_unix_nano
        if parent:
            assert spans[name].parent_span_id == spans[parent].span_id, name
    said = {a.key: a.value.string_value for a in spans["request"].attributes}
    assert said == {"http.request.method": "POST", "url.path": "/v1/matting"}

"""Spans as a collector gets them."""

import sys
from collections.abc import Iterator

import pytest

from serve_app.errors import SettingsError
from serve_app.tracing import OtlpTracer, open_tracer
from tests.collector import Collector, collecting

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as server:
        yield server


def test_a_clients_trace_is_continued(collector: Collector) -> None:
    first, second = (OtlpTracer(collector.endpoint, name) for name in ("Ingress", "UNet"))
    with first.span("matte", PARENT) as trace, second.span("network", trace) as inner:
        second.stages(inner, {"queue": 20.0, "infer": 30.0})
    first.close()
    second.close()
    spans = collector.spans
    assert {span.trace_id.hex() for span in spans.values()} == {PARENT.split("-")[1]}
    assert spans["matte"].parent_span_id.hex() == PARENT.split("-")[2]
    assert spans["network"].parent_span_id == spans["matte"].span_id
    for stage, ms in (("queue", 20), ("infer", 30)):
        assert spans[stage].parent_span_id == spans["network"].span_id
        length = spans[stage].end_time_unix_nano - spans[stage].start_time_unix_nano
        assert length == ms * 1_000_000
    assert spans["queue"].end_time_unix_nano == spans["infer"].start_time_unix_nano


@pytest.mark.parametrize("parent", ["", "nonsense", "00-0-0-00"])
def test_without_a_valid_parent_a_trace_begins(collector: Collector, parent: str) -> None:
    tracer = OtlpTracer(collector.endpoint, "Ingress")
    with tracer.span("matte", parent):
        pass
    tracer.close()
    assert collector.spans["matte"].parent_span_id == b""


def test_what_a_client_does_not_sample_is_not_sent(collector: Collector) -> None:
    tracer = OtlpTracer(collector.endpoint, "Ingress")
    with tracer.span("matte", PARENT.removesuffix("01") + "00"):
        pass
    tracer.close()
    assert collector.spans == {}


def test_a_failure_is_noted(collector: Collector) -> None:
    tracer = OtlpTracer(collector.endpoint, "Ingress")
    with pytest.raises(ValueError), tracer.span("matte", ""):
        raise ValueError("broken")
    tracer.close()
    assert collector.spans["matte"].status.code == 2
    assert collector.spans["matte"].events[0].name == "exception"


def test_off_is_nothing() -> None:
    tracer = open_tracer("", "Ingress")
    with tracer.span("matte", PARENT) as trace:
        tracer.stages(trace, {"queue": 1.0})
    assert trace == ""


def test_switched_on_without_its_extra_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(SettingsError, match=r"pip install 'cvunet-serve\[tracing\]'"):
        open_tracer("http://127.0.0.1:1/v1/traces", "Ingress")

"""Spans of a request's way through the stages, sent to an OpenTelemetry collector; off by default.

A trace goes from process to process as its W3C `traceparent`, a short text; empty is no trace.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from time import time_ns
from typing import Any, Protocol, TypeAlias

from serve_app.errors import SettingsError

Attributes: TypeAlias = Mapping[str, str | int] | None

TRACE: ContextVar[str] = ContextVar("TRACE", default="")
"""The trace of the request at hand."""


class Tracer(Protocol):
    """Makes spans, or nothing at all."""

    @contextmanager
    def span(self, name: str, parent: str, attributes: Attributes = None) -> Iterator[str]:
        """Time what is done within; gives the `traceparent` for what that asks of others."""
        ...

    def stages(self, parent: str, timings: Mapping[str, float]) -> None:
        """Spans of stages, ms each, that followed each other and have ended now."""
        ...


class _Off:
    @contextmanager
    def span(
        self,
        name: str,  # noqa: ARG002
        parent: str,  # noqa: ARG002
        attributes: Attributes = None,  # noqa: ARG002
    ) -> Iterator[str]:
        yield ""

    def stages(self, parent: str, timings: Mapping[str, float]) -> None:
        pass


class OtlpTracer:
    """Sends spans to `endpoint` in the background; a collector that is away costs no request."""

    def __init__(self, endpoint: str, component: str) -> None:
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError as exc:
            raise SettingsError(
                f"tracing.endpoint is '{endpoint}', but what sends spans is not installed: "
                "pip install 'cvunet-serve[tracing]', or leave it empty"
            ) from exc
        resource = Resource.create({"service.name": "cvunet-serve", "service.component": component})
        self._provider = TracerProvider(resource=resource)  # with a parent's decision to sample
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint)))
        self._tracer = self._provider.get_tracer("serve_app")

    @contextmanager
    def span(self, name: str, parent: str, attributes: Attributes = None) -> Iterator[str]:
        """An exception that leaves it is noted in the span."""
        with self._tracer.start_as_current_span(
            name, context=_context(parent), attributes=attributes
        ) as span:
            context = span.get_span_context()
            flags = int(context.trace_flags)
            yield f"00-{context.trace_id:032x}-{context.span_id:016x}-{flags:02x}"

    def stages(self, parent: str, timings: Mapping[str, float]) -> None:
        start = time_ns() - round(sum(timings.values()) * 1e6)
        for stage, ms in timings.items():
            span = self._tracer.start_span(stage, context=_context(parent), start_time=start)
            start += round(ms * 1e6)
            span.end(start)

    def close(self) -> None:
        """Send what is left."""
        self._provider.shutdown()


OFF: Tracer = _Off()


def open_tracer(endpoint: str, component: str) -> Tracer:
    """The tracer of one process.

    Raises:
        SettingsError: an endpoint is set, and the extra `tracing` is not installed.
    """
    return OtlpTracer(endpoint, component) if endpoint else OFF


def _context(parent: str) -> Any:
    """What a `traceparent` says; a malformed one begins a new trace, as the standard wants it."""
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({"traceparent": parent}, Context())

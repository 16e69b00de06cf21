"""The service's metrics through Ray's, which every node exports to Prometheus."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from ray.serve.metrics import Counter, Gauge, Histogram
from ray.util import metrics as ray_metrics

from serve_app import metrics
from serve_app.engines.base import EngineInfo
from serve_app.errors import error_codes
from serve_app.metrics import Metric
from serve_app.types import Prepared, Result, Upload

# A counter that first shows as 1 has not risen for Prometheus, so each starts at nothing; Ray
# takes no 0.
_NOTHING = 5e-324
_REFRESH_S = 1.0


class RequestMetrics:
    """What the ingress knows."""

    def __init__(self) -> None:
        self._requests = _counter(metrics.REQUESTS)
        self._duration = _histogram(metrics.REQUEST_DURATION)
        self._rejections = _counter(metrics.REJECTIONS)
        self._inflight = KeptGauge(metrics.INFLIGHT, 0)
        self._input_bytes = _histogram(metrics.INPUT_BYTES)
        self._output_bytes = _histogram(metrics.OUTPUT_BYTES)
        self._retries = _counter(metrics.REPLICA_RETRIES)
        self._at_work = 0
        self._retries.inc(_NOTHING)
        for reason in sorted(error_codes()):
            self._rejections.inc(_NOTHING, {"reason": reason})

    def answered(self, route: str, status: int, seconds: float) -> None:
        self._requests.inc(1, {"route": route, "code": str(status)})
        self._duration.observe(seconds, {"route": route})

    def refused(self, reason: str) -> None:
        self._rejections.inc(1, {"reason": reason})

    @contextmanager
    def at_work(self, upload: Upload) -> Iterator[None]:
        """Count an image as in flight."""
        self._input_bytes.observe(len(upload.image))
        self._at_work += 1
        self._inflight.set(self._at_work)
        try:
            yield
        finally:
            self._at_work -= 1
            self._inflight.set(self._at_work)

    def done(self, result: Result) -> None:
        self._output_bytes.observe(len(result.body))

    def retried(self) -> None:
        self._retries.inc()


class RefusalMetrics:
    """What the proxy knows of requests that it refused for an application's ingress.

    Under the names that the ingress's have, and Ray adds no label to them outside of a replica.
    """

    def __init__(self, application: str) -> None:
        self._requests = ray_metrics.Counter(*_labelled(metrics.REQUESTS))
        self._duration = ray_metrics.Histogram(
            metrics.REQUEST_DURATION.name,
            metrics.REQUEST_DURATION.meaning,
            list(metrics.REQUEST_DURATION.buckets),
            ("application", *metrics.REQUEST_DURATION.labels),
        )
        self._rejections = ray_metrics.Counter(*_labelled(metrics.REJECTIONS))
        for metric in (self._requests, self._duration, self._rejections):
            metric.set_default_tags({"application": application})

    def answered(self, route: str, status: int, seconds: float) -> None:
        self._requests.inc(1, {"route": route, "code": str(status)})
        self._duration.observe(seconds, {"route": route})

    def refused(self, reason: str) -> None:
        self._rejections.inc(1, {"reason": reason})


class StageMetrics:
    """How long each image spends in the stages of one replica."""

    def __init__(self) -> None:
        self._duration = _histogram(metrics.STAGE_DURATION)
        self._megapixels = _histogram(metrics.INPUT_MEGAPIXELS)

    def took(self, timings: Mapping[str, float], *stages: str) -> None:
        """Note the ms of those stages that the image went through."""
        for stage in stages:
            if stage in timings:
                self._duration.observe(timings[stage] / 1000, {"stage": stage})

    def prepared(self, image: Prepared) -> None:
        height, width = image.original
        self._megapixels.observe(height * width / 1e6)
        self.took(image.timings, "decode")


class NetworkMetrics(StageMetrics):
    """What a replica of the network knows beside that."""

    def __init__(self, info: EngineInfo, max_batch_size: int) -> None:
        super().__init__()
        self._max_batch_size = max_batch_size
        self._batch_size = _histogram(metrics.BATCH_SIZE)
        self._fill = _histogram(metrics.BATCH_FILL)
        self._queue_depth = KeptGauge(metrics.QUEUE_DEPTH, 0)
        labels = {label: getattr(info, label) for label in metrics.MODEL_INFO.labels}
        self._info = KeptGauge(metrics.MODEL_INFO, 1, labels)

    def batch(self, size: int) -> None:
        self._batch_size.observe(size)
        self._fill.observe(size / self._max_batch_size)

    def waiting(self, count: int) -> None:
        self._queue_depth.set(count)


class KeptGauge:
    """A gauge that goes on being exported: Ray drops one that was not set since two reports ago."""

    def __init__(
        self, metric: Metric, value: float, labels: Mapping[str, str] | None = None
    ) -> None:
        self._gauge = Gauge(metric.name, metric.meaning, metric.labels)  # type: ignore[arg-type]
        self._labels = dict(labels or {})
        self.set(value)
        threading.Thread(target=self._keep, name=metric.name, daemon=True).start()

    def set(self, value: float) -> None:
        self._value = value
        self._gauge.set(value, self._labels)

    def _keep(self) -> None:
        while True:
            time.sleep(_REFRESH_S)
            self._gauge.set(self._value, self._labels)


def _labelled(metric: Metric) -> tuple[str, str, tuple[str, ...]]:
    return metric.name, metric.meaning, ("application", *metric.labels)


def _counter(metric: Metric) -> Counter:
    # Ray declares its labels as a tuple of one.
    return Counter(metric.name, metric.meaning, metric.labels)  # type: ignore[arg-type]


def _histogram(metric: Metric) -> Histogram:
    buckets = list(metric.buckets)
    return Histogram(metric.name, metric.meaning, buckets, metric.labels)  # type: ignore[arg-type]

"""The network's stage: weights held for the replica's life, requests served in batches."""

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor

from ray import serve

from serve_app.batching import BatchGate, BatchItem, predict_all, warm_up, with_queue_time
from serve_app.deployments.listening import listen_on_node_address
from serve_app.deployments.metrics import NetworkMetrics
from serve_app.deployments.priority import give_way
from serve_app.engines import open_engine
from serve_app.engines.base import EngineInfo
from serve_app.errors import ServiceError
from serve_app.settings import Settings
from serve_app.timing import Deadline
from serve_app.tracing import open_tracer
from serve_app.types import Prediction, Prepared

logger = logging.getLogger("ray.serve.cvunet")


class UNet:
    """Serve calls it ready only when `__init__` is done: weights loaded and warmed up."""

    def __init__(self, settings: Settings) -> None:
        listen_on_node_address()
        give_way()
        batching = settings.batching
        self._engine = open_engine(settings.model, batching.max_batch_size)
        # One thread owns the engine; the event loop stays free to take requests and answer probes.
        self._worker = ThreadPoolExecutor(1)
        self._tracer = open_tracer(settings.tracing.endpoint, "UNet")
        self._metrics = NetworkMetrics(self._engine.info, batching.max_batch_size)
        self._gate = BatchGate(batching.max_batch_size, self._metrics.waiting)
        self._stall_timeout_s = batching.stall_timeout_s
        self._predict_batch.set_max_batch_size(batching.max_batch_size)  # type: ignore[attr-defined]
        warm_up(self._engine, batching.warmup, batching.bucket_step)
        logger.info("model ready: %s", self._engine.info.label)

    async def __call__(self, prepared: Prepared, deadline: Deadline, trace: str = "") -> Prediction:
        with self._tracer.span("network", trace) as span:
            prediction = await self._predict(prepared, deadline)
            self._tracer.stages(span, prediction.timings)
        self._metrics.took(prediction.timings, "queue", "infer")
        return prediction

    async def _predict(self, prepared: Prepared, deadline: Deadline) -> Prediction:
        start = time.perf_counter()
        item = BatchItem(prepared.rgb, prepared.trimap)
        async with self._gate.admitted(item.bucket):
            deadline.check()
            queued_ms = (time.perf_counter() - start) * 1000
            answer = await self._predict_batch(item)
        # Batches carry exceptions as values, so that one bad item fails alone.
        if isinstance(answer, Exception):
            raise answer
        return with_queue_time(answer, queued_ms)

    # The gate has already gathered the batch: there is nothing left to wait for.
    @serve.batch(batch_wait_timeout_s=0)
    async def _predict_batch(self, items: list[BatchItem]) -> list[Prediction | Exception]:
        self._metrics.batch(len(items))
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._worker, predict_all, self._engine, items)

    async def describe(self) -> EngineInfo:
        return self._engine.info

    def check_health(self) -> None:
        """Raise where a batch has been at work for too long; Serve then replaces the replica."""
        stalled_s = self._gate.stalled_for()
        if stalled_s > self._stall_timeout_s:
            raise ServiceError(
                f"a batch has been running for {stalled_s:.0f} s, over batching.stall_timeout_s = "
                f"{self._stall_timeout_s:.0f} s: the replica is replaced"
            )

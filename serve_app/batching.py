"""Batches: who waits for whom, and how one run of the network serves many requests.

Serve's own batching collects the next batch while one runs and hands over whatever has come when
its wait ends, so a busy worker is fed batches of one. `BatchGate` stands before it and lets
requests through only when the worker is idle: then everything that waits for the same shape goes
through together, and a request that finds the worker idle waits for nothing.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import numpy as np

from serve_app.engines.base import Engine
from serve_app.errors import EngineOutOfMemory
from serve_app.imaging.geometry import plan
from serve_app.types import UNKNOWN, Array, Prediction, Size

logger = logging.getLogger("ray.serve.cvunet")


@dataclass(frozen=True, slots=True)
class BatchItem:
    """One image as the network takes it."""

    rgb: Array  # [h, w, 3]
    trimap: Array  # [h, w]

    @property
    def bucket(self) -> Size:
        return self.rgb.shape[0], self.rgb.shape[1]


class BatchGate:
    """Admits requests of one bucket together, up to `max_batch_size`, when the worker is idle.

    Buckets take turns by their oldest request, so none starves. One event loop only.
    """

    def __init__(
        self, max_batch_size: int, on_waiting: Callable[[int], None] = lambda _: None
    ) -> None:
        """`on_waiting` is told how many wait, whenever that changes."""
        self._max = max_batch_size
        self._on_waiting = on_waiting
        self._waiting: deque[tuple[Size, asyncio.Future[None]]] = deque()
        self._inside = 0
        self._since = time.monotonic()  # when the current batch was let in

    @asynccontextmanager
    async def admitted(self, bucket: Size) -> AsyncIterator[None]:
        """Wait for a turn; the worker counts as busy until all who came in together have left."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((bucket, turn))
        if not self._inside:
            self._admit()
        self._on_waiting(self.waiting)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # cancelled just as its turn came
                self._leave()
            raise
        finally:
            self._on_waiting(self.waiting)
        try:
            yield
        finally:
            self._leave()

    @property
    def waiting(self) -> int:
        """How many requests wait outside."""
        return sum(not turn.done() for _, turn in self._waiting)

    def stalled_for(self) -> float:
        """Seconds that the present batch has been inside; 0 when the worker is idle."""
        return time.monotonic() - self._since if self._inside else 0.0

    def _leave(self) -> None:
        self._inside -= 1
        if not self._inside:
            self._admit()

    def _admit(self) -> None:
        later: deque[tuple[Size, asyncio.Future[None]]] = deque()
        bucket: Size | None = None
        while self._waiting and self._inside < self._max:
            wanted, turn = self._waiting.popleft()
            if turn.done():  # cancelled while it waited
                continue
            bucket = bucket or wanted
            if wanted != bucket:
                later.append((wanted, turn))
                continue
            turn.set_result(None)
            self._inside += 1
        self._waiting.extendleft(reversed(later))
        self._since = time.monotonic()


def predict_all(engine: Engine, items: Sequence[BatchItem]) -> list[Prediction | Exception]:
    """Run a batch; each item gets its own prediction or its own exception, in the order given.

    Items are grouped by bucket. A group that does not fit into memory is halved and tried again;
    a group that fails otherwise is run one by one, so that only the bad item fails.
    """
    answers: list[Prediction | Exception] = [LookupError("not run")] * len(items)
    groups: dict[Size, list[int]] = {}
    for index, item in enumerate(items):
        groups.setdefault(item.bucket, []).append(index)
    for indices in groups.values():
        group = _predict_group(engine, [items[i] for i in indices])
        for index, answer in zip(indices, group, strict=True):
            answers[index] = answer
    return answers


def _predict_group(engine: Engine, items: list[BatchItem]) -> list[Prediction | Exception]:
    start = time.perf_counter()
    try:
        alpha = engine.predict(
            np.stack([item.rgb for item in items]), np.stack([item.trimap for item in items])
        )
    except EngineOutOfMemory as exc:
        if len(items) == 1:
            return [exc]
        half = len(items) // 2
        return _predict_group(engine, items[:half]) + _predict_group(engine, items[half:])
    except Exception as exc:  # whatever an engine's library raises
        if len(items) == 1:
            return [exc]
        return [answer for item in items for answer in _predict_group(engine, [item])]
    timings = {"infer": (time.perf_counter() - start) * 1000}
    return [Prediction(a, engine.info.label, len(items), timings) for a in alpha]


def with_queue_time(prediction: Prediction, queued_ms: float) -> Prediction:
    return replace(prediction, timings={"queue": queued_ms, **prediction.timings})


def warm_up(engine: Engine, shapes: Sequence[Size], bucket_step: int) -> None:
    """Run the network for the bucket of each shape, once for each batch size that its engine
    prepares for by itself: first runs allocate and compile.
    """
    start = time.perf_counter()
    buckets = dict.fromkeys(plan(shape, max(shape), bucket_step).padded for shape in shapes)
    for bucket in buckets:
        _warm_up_bucket(engine, bucket)
    logger.info(
        "warmed up in %.1f s: %s, batches of %s",
        time.perf_counter() - start,
        " ".join(f"{height}x{width}" for height, width in buckets),
        " ".join(str(images) for images in engine.batches),
    )


def _warm_up_bucket(engine: Engine, bucket: Size) -> None:
    for images in engine.batches:
        try:
            engine.predict(
                np.zeros((images, *bucket, 3), np.uint8),
                np.full((images, *bucket), UNKNOWN, np.uint8),
            )
        except EngineOutOfMemory as exc:
            if images == 1:
                raise
            # As under load, where a batch that does not fit is halved.
            logger.warning("%s: such batches will be halved; lower batching.max_batch_size", exc)
            return

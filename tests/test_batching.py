"""Batches on a plain object: who goes with whom, who fails alone, what is tried again."""

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest

from serve_app.batching import BatchGate, BatchItem, predict_all, warm_up
from serve_app.engines.base import EngineInfo
from serve_app.engines.fake import FakeEngine
from serve_app.errors import EngineOutOfMemory
from serve_app.types import UNKNOWN, Array, Prediction, Size

SMALL, LARGE = (64, 64), (64, 128)


def item(size: Size, red: int = 0) -> BatchItem:
    rgb = np.zeros((*size, 3), np.uint8)
    rgb[..., 0] = red
    return BatchItem(rgb, np.full(size, UNKNOWN, np.uint8))


class RecordingEngine(FakeEngine):
    """Notes each batch it is given; fails where it is told to."""

    def __init__(self, fits: int = 1000, poison: int | None = None) -> None:
        self.seen: list[tuple[int, ...]] = []
        self._fits, self._poison = fits, poison

    def predict(self, rgb: Array, trimap: Array) -> Array:
        self.seen.append(rgb.shape[:3])
        if len(rgb) > self._fits:
            raise EngineOutOfMemory("too many")
        if self._poison in rgb[:, 0, 0, 0]:
            raise ValueError("poison")
        return super().predict(rgb, trimap)


def reds(answers: Sequence[Prediction | Exception]) -> list[int | str]:
    return [int(a.alpha[0, 0]) if isinstance(a, Prediction) else type(a).__name__ for a in answers]


class TestPredictAll:
    def test_groups_by_bucket_and_keeps_order(self) -> None:
        engine = RecordingEngine()
        items = [item(SMALL, 1), item(LARGE, 2), item(SMALL, 3)]
        answers = predict_all(engine, items)
        assert engine.seen == [(2, *SMALL), (1, *LARGE)]
        assert reds(answers) == [1, 2, 3]
        assert [a.batch_size for a in answers if isinstance(a, Prediction)] == [2, 1, 2]

    def test_one_bad_item_fails_alone(self) -> None:
        engine = RecordingEngine(poison=7)
        answers = predict_all(engine, [item(SMALL, red) for red in (1, 7, 3)])
        assert reds(answers) == [1, "ValueError", 3]

    def test_out_of_memory_halves_the_batch(self) -> None:
        engine = RecordingEngine(fits=2)
        answers = predict_all(engine, [item(SMALL, red) for red in range(8)])
        assert reds(answers) == list(range(8))
        assert [batch[0] for batch in engine.seen] == [8, 4, 2, 2, 4, 2, 2]

    def test_an_item_that_never_fits_says_so(self) -> None:
        answers = predict_all(RecordingEngine(fits=0), [item(SMALL), item(SMALL)])
        assert reds(answers) == ["EngineOutOfMemory"] * 2


def test_warm_up_runs_each_shape_padded_to_its_bucket() -> None:
    engine = RecordingEngine()
    warm_up(engine, [(570, 1000), (64, 64)], bucket_step=64)
    assert engine.seen == [(1, 576, 1024), (1, 64, 64)]


def test_warm_up_runs_each_batch_size_that_its_engine_prepares_for() -> None:
    engine = RecordingEngine()
    engine.batches = (1, 4, 16)
    warm_up(engine, [(64, 60), (64, 64), (64, 128)], bucket_step=64)  # the first two are one bucket
    assert engine.seen == [(n, *bucket) for bucket in (SMALL, LARGE) for n in (1, 4, 16)]


def test_warm_up_goes_on_where_a_larger_batch_does_not_fit() -> None:
    engine = RecordingEngine(fits=4)
    engine.batches = (1, 4, 16, 64)
    warm_up(engine, [SMALL, LARGE], bucket_step=64)
    assert [batch[0] for batch in engine.seen] == [1, 4, 16, 1, 4, 16]
    with pytest.raises(EngineOutOfMemory):
        warm_up(RecordingEngine(fits=0), [SMALL], bucket_step=64)


class Worker:
    """What stands behind the gate: takes everything that came in together, for one tick."""

    def __init__(self, gate: BatchGate) -> None:
        self.gate = gate
        self.together: list[list[Size]] = []
        self.finish = asyncio.Event()
        self._inside: list[Size] = []

    async def request(self, bucket: Size) -> None:
        async with self.gate.admitted(bucket):
            if not self._inside:
                self.together.append(self._inside)
            self._inside.append(bucket)
            await self.finish.wait()
            await asyncio.sleep(0)  # all who came in together are here before the first leaves
            self._inside = []


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


class TestBatchGate:
    async def run_batches(self, max_batch_size: int, buckets: list[Size]) -> list[list[Size]]:
        """Let one request occupy the worker, queue the others, then finish batch by batch."""
        gate = BatchGate(max_batch_size)
        worker = Worker(gate)
        tasks = []
        for bucket in buckets:
            tasks.append(asyncio.create_task(worker.request(bucket)))
            await settle()
        worker.finish.set()
        await asyncio.gather(*tasks)
        assert gate.waiting == 0
        assert gate.stalled_for() == 0
        return worker.together

    def test_a_lone_request_waits_for_nothing(self) -> None:
        assert asyncio.run(self.run_batches(8, [SMALL])) == [[SMALL]]

    def test_what_waited_goes_together(self) -> None:
        batches = asyncio.run(self.run_batches(8, [SMALL] * 6))
        assert [len(batch) for batch in batches] == [1, 5]

    def test_never_more_than_the_maximum(self) -> None:
        batches = asyncio.run(self.run_batches(4, [SMALL] * 10))
        assert [len(batch) for batch in batches] == [1, 4, 4, 1]

    def test_one_bucket_at_a_time_oldest_first(self) -> None:
        batches = asyncio.run(self.run_batches(8, [SMALL, LARGE, SMALL, LARGE, SMALL]))
        assert batches == [[SMALL], [LARGE, LARGE], [SMALL, SMALL]]

    def test_it_tells_how_many_wait(self) -> None:
        async def scenario() -> list[int]:
            told: list[int] = []
            gate = BatchGate(8, told.append)
            worker = Worker(gate)
            tasks = [asyncio.create_task(worker.request(SMALL)) for _ in range(4)]
            await settle()
            tasks[1].cancel()
            await settle()
            worker.finish.set()
            await asyncio.gather(*tasks, return_exceptions=True)
            return told

        # The first doesn't wait; three do, one of them leaves, the others go in together.
        assert asyncio.run(scenario()) == [0, 0, 1, 2, 3, 2, 0, 0]

    def test_a_cancelled_request_leaves_the_queue(self) -> None:
        async def scenario() -> list[list[Size]]:
            gate = BatchGate(8)
            worker = Worker(gate)
            first, second, third = (asyncio.create_task(worker.request(SMALL)) for _ in range(3))
            await settle()
            second.cancel()
            await settle()
            assert gate.waiting == 1
            worker.finish.set()
            await asyncio.gather(first, third)
            return worker.together

        assert asyncio.run(scenario()) == [[SMALL], [SMALL]]

    def test_cancelled_while_at_work_frees_the_worker(self) -> None:
        async def scenario() -> None:
            gate = BatchGate(8)
            worker = Worker(gate)
            first = asyncio.create_task(worker.request(SMALL))
            second = asyncio.create_task(worker.request(SMALL))
            await settle()
            first.cancel()
            worker.finish.set()
            await second
            assert gate.stalled_for() == 0

        asyncio.run(scenario())

    def test_cancelled_in_the_moment_of_its_turn_frees_the_worker(self) -> None:
        async def scenario() -> None:
            gate = BatchGate(1)
            worker = Worker(gate)
            worker.finish.set()
            first, second, third = (asyncio.create_task(worker.request(SMALL)) for _ in range(3))
            await first  # its leaving has set second's turn, which second has not yet seen
            second.cancel()
            await asyncio.wait_for(third, 1)

        asyncio.run(scenario())

    def test_a_batch_that_never_ends_shows(self) -> None:
        async def scenario() -> float:
            gate = BatchGate(8)
            task = asyncio.create_task(Worker(gate).request(SMALL))
            await asyncio.sleep(0.02)
            stalled = gate.stalled_for()
            task.cancel()
            return stalled

        assert asyncio.run(scenario()) >= 0.02


def test_the_fake_engine_keeps_the_protocol() -> None:
    assert isinstance(FakeEngine().info, EngineInfo)
    alpha = FakeEngine().predict(np.full((1, 64, 64, 3), 9, np.uint8), np.zeros((1, 64, 64), "u1"))
    assert alpha.shape == (1, 64, 64)
    assert not alpha.any()

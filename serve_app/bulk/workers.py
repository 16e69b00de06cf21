"""What Ray Data's actors run: all stages in one, or one of three.

Tables of Arrow go in and come out. Between stages an image travels as one pickled value, so that
the object store holds it and nobody looks into it. Files are decoded in a process of its own: one
that hangs or crashes its decoder stops no other.
"""

import pickle
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import cv2

from serve_app.batching import predict_all, warm_up
from serve_app.bulk.plan import Task
from serve_app.bulk.work import ImageWork, Job, Outcome, Ready, as_row, failure
from serve_app.engines import open_engine
from serve_app.imaging.allocator import keep_freed_memory
from serve_app.imaging.isolated import IsolatedDecoder

Table = Any  # of pyarrow

_COLUMN = "image"


class Whole:
    """Everything for one image after another: nothing but names goes between processes."""

    def __init__(self, job: Job, threads: int) -> None:
        cv2.setNumThreads(1)  # the actors are the parallelism
        keep_freed_memory()
        self._work = ImageWork(job, IsolatedDecoder())
        self._network = _Network(job, threads, max_batch_size=1)

    def __call__(self, table: Table) -> Table:
        return table_of([as_row(self._one(task)) for task in tasks_of(table)])

    def _one(self, task: Task) -> Outcome:
        taken = self._work.take(task)
        if isinstance(taken, Ready):
            (taken,) = self._network.predict([taken])
        if isinstance(taken, Ready):
            return self._work.give(taken)
        self._work.drop(task)
        return taken


class Reader:
    """Staged: reads and prepares."""

    def __init__(self, job: Job) -> None:
        cv2.setNumThreads(1)
        self._work = ImageWork(job, IsolatedDecoder())

    def __call__(self, table: Table) -> Iterator[Table]:
        for task in tasks_of(table):
            yield _packed([self._work.take(task)])


class Network:
    """Staged: runs the network on batches."""

    def __init__(self, job: Job, threads: int) -> None:
        self._network = _Network(job, threads, job.settings.batching.max_batch_size)

    def __call__(self, table: Table) -> Table:
        images = _unpacked(table)
        ready = [each for each in images if isinstance(each, Ready)]
        predicted = iter(self._network.predict(ready))
        return _packed([next(predicted) if isinstance(i, Ready) else i for i in images])


class Writer:
    """Staged: finishes and writes."""

    def __init__(self, job: Job) -> None:
        cv2.setNumThreads(1)
        keep_freed_memory()
        self._work = ImageWork(job)

    def __call__(self, table: Table) -> Iterator[Table]:
        for each in _unpacked(table):
            if isinstance(each, Ready):
                yield table_of([as_row(self._work.give(each))])
            else:
                self._work.drop(Task(each.uri, each.name))
                yield table_of([as_row(each)])


class _Network:
    """The engine, for images on their way."""

    def __init__(self, job: Job, threads: int, max_batch_size: int) -> None:
        model, batching = job.settings.model, job.settings.batching
        chosen = model.threads or threads
        self._engine = open_engine(model.model_copy(update={"threads": chosen}), max_batch_size)
        warm_up(self._engine, batching.warmup, batching.bucket_step)

    def predict(self, images: list[Ready]) -> list[Ready | Outcome]:
        answers = predict_all(self._engine, [image.item for image in images])
        return [
            failure(image.task, answer)
            if isinstance(answer, Exception)
            else replace(image, prediction=answer)
            for image, answer in zip(images, answers, strict=True)
        ]


def tasks_of(table: Table) -> list[Task]:
    return [Task(**row) for row in table.to_pylist()]


def table_of(rows: list[dict[str, Any]]) -> Table:
    import pyarrow as pa

    return pa.Table.from_pylist(rows)


def _packed(images: list[Ready | Outcome]) -> Table:
    import pyarrow as pa

    values = [pickle.dumps(image, protocol=5) for image in images]
    return pa.table({_COLUMN: pa.array(values, pa.large_binary())})


def _unpacked(table: Table) -> list[Ready | Outcome]:
    return [pickle.loads(value.as_buffer()) for value in table[_COLUMN]]  # noqa: S301 - our own

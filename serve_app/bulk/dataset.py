"""The Ray Data pipeline: a list of tasks in, outcomes out as they come."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from serve_app.bulk.layout import Pool, Pools
from serve_app.bulk.plan import Task
from serve_app.bulk.work import Job, Outcome, from_row
from serve_app.bulk.workers import Network, Reader, Whole, Writer, table_of

_MOST = 32  # images of a block: what is told at once, and all that each costs is spread over
_BLOCK = 64_000_000  # bytes of images between stages in one block


def run_tasks(tasks: Sequence[Task], job: Job, pools: Pools) -> Iterator[Outcome]:
    """Work on all of them; the outcomes come in no order.

    Memory is bounded: fused, an actor has one image at a time and the object store none; staged,
    Ray Data holds a stage back when what it made is not taken.
    """
    import ray

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False  # ours knows the whole job
    context.print_on_execution_start = False
    context.memory_usage_poll_interval_s = None  # takes milliseconds, and only statistics have it
    context.max_errored_blocks = -1  # what was in one is told as failed
    context.target_max_block_size = _BLOCK
    blocks = list(split(tasks, (pools.reader or pools.network).size))
    pools = pools.at_most(len(blocks))
    data = ray.data.from_arrow([table_of([asdict(task) for task in block]) for block in blocks])
    data = _staged(data, job, pools) if pools.reader else _fused(data, job, pools)
    for table in data.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
        yield from (from_row(row) for row in table.to_pylist())


def _fused(data: Any, job: Job, pools: Pools) -> Any:
    # Ray Data asks for a batch size where a GPU is; it changes nothing here.
    return _mapped(data, Whole, (job, 1), pools.network, _MOST if pools.network.gpus else None)


def _staged(data: Any, job: Job, pools: Pools) -> Any:
    assert pools.reader is not None  # noqa: S101 - a staged layout has all three
    assert pools.writer is not None  # noqa: S101
    batch = job.settings.batching.max_batch_size
    threads = max(1, int(pools.network.cpus))
    data = _mapped(data, Reader, (job,), pools.reader)
    data = _mapped(data, Network, (job, threads), pools.network, batch)
    return _mapped(data, Writer, (job,), pools.writer)


def _mapped(
    data: Any, worker: type, arguments: tuple[Any, ...], pool: Pool, batch: int | None = None
) -> Any:
    from ray.data import ActorPoolStrategy

    return data.map_batches(
        worker,
        batch_size=batch,
        batch_format="pyarrow",
        fn_constructor_args=arguments,
        compute=ActorPoolStrategy(size=pool.size, max_tasks_in_flight_per_actor=2),
        num_cpus=pool.cpus,
        num_gpus=pool.gpus or None,
    )


def split(tasks: Sequence[Task], workers: int) -> Iterator[Sequence[Task]]:
    """Blocks that become smaller towards the end, so that no worker is left with a long last one.

    Each costs Ray some CPU time, so the first ones are as large as they may be.
    """
    first = 0
    while left := len(tasks) - first:
        size = min(_MOST, max(1, left // (2 * workers)))
        yield tasks[first : first + size]
        first += size

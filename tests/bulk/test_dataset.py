"""How a list of images is cut into blocks."""

import pytest

from serve_app.bulk.dataset import split
from serve_app.bulk.plan import Task


@pytest.mark.parametrize("count", [1, 5, 64, 500, 20_000])
@pytest.mark.parametrize("workers", [1, 2, 16])
def test_blocks_are_whole_and_end_small(count: int, workers: int) -> None:
    tasks = [Task(f"{number}.jpg", f"{number}.png") for number in range(count)]
    blocks = list(split(tasks, workers))
    assert [task for block in blocks for task in block] == tasks
    assert len(blocks) >= min(count, workers)  # nobody is left without work
    sizes = [len(block) for block in blocks]
    assert sizes == sorted(sizes, reverse=True)
    assert max(sizes) <= 32
    assert set(sizes[-workers:]) == {1}
    left = count
    for size in sizes:
        assert size == 1 or size * workers <= left / 2  # nobody waits for one long block at the end
        left -= size

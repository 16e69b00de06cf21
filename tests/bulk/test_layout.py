"""No layout asks for more than there is, whatever the machine."""

import pytest

from serve_app.bulk.layout import lay_out
from serve_app.errors import InputError


@pytest.mark.parametrize("wanted", ["fused", "staged", "auto"])
@pytest.mark.parametrize("cpus", [1, 2, 3, 16])
@pytest.mark.parametrize("gpus", [0, 1, 8])
@pytest.mark.parametrize("workers", [None, 1, 5, 40])
def test_all_pools_fit_at_once(wanted: str, cpus: int, gpus: int, workers: int | None) -> None:
    pools = lay_out(wanted, cpus, gpus, "auto", workers)
    there = [pool for pool in (pools.network, pools.reader, pools.writer) if pool]
    assert sum(pool.size * pool.cpus for pool in there) <= cpus
    assert sum(pool.size * pool.gpus for pool in there) <= gpus
    assert all(pool.size and 0 < pool.cpus <= 1 for pool in there)


def test_auto_is_staged_where_a_gpu_is_used() -> None:
    assert lay_out("auto", 4, 0, "auto", None).layout == "fused"
    assert lay_out("auto", 4, 1, "auto", None).layout == "staged"
    assert lay_out("auto", 4, 1, "cpu", None).layout == "fused"


def test_a_cluster_without_cpus_is_refused() -> None:
    with pytest.raises(InputError, match="no CPU"):
        lay_out("auto", 0, 1, "auto", None)

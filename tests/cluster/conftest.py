"""One cluster for the tests of this folder: a head without work, a node of CPUs, one with a GPU."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.local_cluster import LocalCluster, Node, local_cluster
from benchmarks.running_service import read_config
from serve_app.settings import ROOT
from tests.cluster.sightings import FOLDER

HEAD = Node(num_cpus=0)
# One replica of each CPU stage; more have no place but beside the GPU. The ingress is held here:
# what it has in hand when its node is lost is lost with it, and no test here is about that.
CPUS = Node(num_cpus=1, resources={"ingress": 1})
GPU = Node(num_cpus=3, num_gpus=1)

MOST = 2  # replicas of a stage: all that two cores carry
_SHRINKS_AFTER_S = 10  # sooner than as shipped, so that no test waits long


def gpu_config(jobs: Path) -> dict[str, Any]:
    """configs/serve.gpu.yaml with its demands as they are, and no network behind them."""
    config = read_config(ROOT / "configs" / "serve.gpu.yaml")
    (application,) = config["applications"]
    application["import_path"] = "tests.cluster.seeing:build_app"
    application["args"]["model"]["engine"] = "fake"
    application["args"]["jobs"]["storage"] = str(jobs)
    application["args"]["limits"]["max_wait_s"] = 60  # what is admitted has tests of its own
    for stage in application["deployments"]:
        if stage["name"] == "Ingress":
            stage["ray_actor_options"]["resources"] = {"ingress": 0.1}
        scaling = stage["autoscaling_config"]
        scaling["max_replicas"] = min(MOST, scaling["max_replicas"])
        scaling["downscale_delay_s"] = _SHRINKS_AFTER_S
    return config


@pytest.fixture(scope="session")
def seen_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("seen")


@pytest.fixture(scope="session")
def cluster(seen_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    config = gpu_config(tmp_path_factory.mktemp("jobs"))
    with local_cluster(HEAD, [CPUS, GPU], config, {FOLDER: str(seen_folder)}) as cluster:
        yield cluster

"""Several nodes, for real: where stages are placed, how they grow, and what a node's end costs.

The tests share a cluster and run in their order; each one leaves it able to serve.
"""

from pathlib import Path

from benchmarks.chaos.replicas import answered_again, wait_for_answers, waited
from benchmarks.chaos.traffic import causes, photo, steady_traffic
from benchmarks.local_cluster import LocalCluster
from benchmarks.running_service import STAGES
from tests.cluster.conftest import CPUS, GPU, MOST
from tests.cluster.sightings import NOT_SET, seen

CPU_STAGES = ("Preprocess", "Postprocess")
PHOTO = photo(320, 180)


def is_least(cluster: LocalCluster) -> bool:
    return all(len(cluster.replicas(stage)) == 1 for stage in STAGES)


def test_the_network_is_placed_where_the_gpu_is(cluster: LocalCluster, seen_folder: Path) -> None:
    _, gpu = cluster.nodes
    waited(lambda: is_least(cluster), "not every stage has its replica")
    (network,) = cluster.replicas("UNet")
    assert network.node_id == gpu
    assert seen(seen_folder, network.pid) == "0"


def test_load_brings_replicas_which_go_with_it(cluster: LocalCluster, seen_folder: Path) -> None:
    _, gpu = cluster.nodes
    with steady_traffic(cluster.url, PHOTO, 12) as answers:
        waited(lambda: len(cluster.replicas("Postprocess")) == MOST, "no new replicas serve")
        on_cpus = [replica for stage in CPU_STAGES for replica in cluster.replicas(stage)]
        answered_again(answers)
    assert causes(answers) == ""
    # Some had no room but beside the network; none of them sees its GPU all the same.
    assert gpu in {replica.node_id for replica in on_cpus}
    assert {seen(seen_folder, replica.pid) for replica in on_cpus} == {""}
    assert {seen(seen_folder, r.pid) for r in cluster.replicas("Ingress")} <= {"", NOT_SET}
    waited(lambda: is_least(cluster), "replicas that nobody needs are kept")


def test_a_drained_node_costs_no_request(cluster: LocalCluster) -> None:
    cpus, _ = cluster.nodes
    cluster.add(CPUS)
    with steady_traffic(cluster.url, PHOTO, 2) as answers:
        wait_for_answers(answers, 4)
        cluster.drain(cpus)
        waited(lambda: cluster.has_left(cpus), "replicas stay where they are")
        cluster.kill(cpus)
        answered_again(answers)
    assert causes(answers) == ""


def test_the_network_moves_when_its_node_is_lost(cluster: LocalCluster) -> None:
    _, gpu = cluster.nodes
    another = cluster.add(GPU)
    with steady_traffic(cluster.url, PHOTO, 2) as answers:
        wait_for_answers(answers, 4)
        cluster.kill(gpu)
        waited(lambda: cluster.nodes_of("UNet") == {another}, "no GPU is found for the network")
        answered_again(answers)
    assert causes(answers) == ""

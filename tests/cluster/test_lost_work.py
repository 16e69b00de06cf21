"""What every stage had in hand on a node that is lost is done once more on another one."""

from pathlib import Path

from benchmarks.chaos.replicas import answered_again, wait_for_answers, waited
from benchmarks.chaos.traffic import causes, photo, steady_traffic
from benchmarks.local_cluster import Node, local_cluster
from benchmarks.running_service import STAGES
from tests.cluster.conftest import gpu_config
from tests.cluster.sightings import FOLDER

HEAD = Node(num_cpus=1, resources={"ingress": 1})
WORKER = Node(num_cpus=2, num_gpus=1, resources={"work": 1})


def test_no_request_fails_with_all_stages(tmp_path: Path) -> None:
    config = gpu_config(tmp_path / "jobs")
    for stage in config["applications"][0]["deployments"]:
        if stage["name"] != "Ingress":
            stage["ray_actor_options"]["resources"] = {"work": 0.1}
    with local_cluster(HEAD, [WORKER], config, {FOLDER: str(tmp_path)}) as cluster:
        (lost,) = cluster.nodes
        another = cluster.add(WORKER)
        waited(lambda: all(cluster.nodes_of(stage) == {lost} for stage in STAGES[1:]), "no stages")
        with steady_traffic(cluster.url, photo(320, 180), 4) as answers:
            wait_for_answers(answers, 8)
            cluster.kill(lost)
            waited(lambda: cluster.nodes_of("UNet") == {another}, "no new network")
            answered_again(answers)
    assert causes(answers) == ""

"""The simulation and the formula against cases that can be worked out by hand."""

import argparse
from pathlib import Path

import pytest

from benchmarks.cost import price_table, slowest, stages_of
from benchmarks.simulation import Stage, formula, simulate

SPENT = {
    **{"Ingress": 0.005, "Preprocess": 0.02, "UNet": 0.06, "Postprocess": 0.04},
    **{"proxy": 0.005, "Ray": 0.01},
}


def test_one_stage_does_what_its_replica_can() -> None:
    assert simulate([Stage("a", 0.1)], cores=4, clients=8) == pytest.approx(10, rel=0.01)
    assert simulate([Stage("a", 0.1, replicas=3)], cores=4, clients=8) == pytest.approx(
        30, rel=0.01
    )


def test_a_lone_client_waits_for_all_stages_in_turn() -> None:
    stages = [Stage("a", 0.1), Stage("b", 0.2, threads=2), Stage("c", 0.3)]
    assert simulate(stages, cores=2, clients=1) == pytest.approx(1 / 0.5, rel=0.01)


def test_the_slowest_stage_sets_the_pace() -> None:
    stages = [Stage("a", 0.1), Stage("b", 0.25), Stage("c", 0.05)]
    assert simulate(stages, cores=8, clients=16) == pytest.approx(4, rel=0.01)
    assert formula(stages, 8) == pytest.approx(4)
    assert slowest(stages, 8) == "b"


def test_cores_set_the_pace_where_there_are_few() -> None:
    stages = [Stage("a", 0.1), Stage("b", 0.25), Stage("c", 0.05)]
    assert simulate(stages, cores=1, clients=16) == pytest.approx(2.5, rel=0.01)
    assert formula(stages, 1) == pytest.approx(2.5)
    assert slowest(stages, 1) == "cores"


@pytest.mark.parametrize("cores", [1, 2, 4, 16])
@pytest.mark.parametrize("replicas", [1, 2, 4])
def test_no_simulation_beats_the_formula(cores: int, replicas: int) -> None:
    stages = stages_of(SPENT, replicas, cores)
    rates = [simulate(stages, cores, clients) for clients in (1, 4, 32)]
    assert max(rates) <= formula(stages, cores) * 1.01
    assert rates[0] <= rates[1] * 1.01 <= rates[2] * 1.02


def test_threads_beyond_the_cores_share_them() -> None:
    stages = [Stage("a", 0.1, threads=8, batch=4), Stage("b", 0.1, replicas=8)]
    assert simulate(stages, cores=2, clients=16) == pytest.approx(2 / 0.2, rel=0.02)


def test_more_preprocessing_helps_until_something_else_limits() -> None:
    rates = [simulate(stages_of(SPENT, n, 16), 16, 64) for n in (1, 2, 4)]
    assert rates[0] == pytest.approx(1 / SPENT["Postprocess"], rel=0.02)
    # Two are fed in batches of the network's and now and then wait for the next one.
    assert 0.9 < rates[1] / (2 / SPENT["Postprocess"]) < 1.01
    assert rates[2] > rates[1]


def test_a_million_images_cost_their_cpu_seconds() -> None:
    arguments = argparse.Namespace(gpu=Path("absent.json"))
    rows = {row[0]: row[1:] for row in price_table(SPENT, arguments).rows}
    assert rows["all on CPUs"] == pytest.approx([140, 1e6 * 0.14 / 3600])
    assert rows["with the network on a GPU: cores"] == pytest.approx([80, 1e6 * 0.08 / 3600])
    assert rows["with the network on a GPU: GPU"] == [None, None]

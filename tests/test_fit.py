"""Replicas that fit on a machine."""

import os
from pathlib import Path
from typing import Any

import pytest

from benchmarks.running_service import read_config
from serve_app.commands import fit
from serve_app.commands.fit import fitted


def most(config: dict[str, Any]) -> dict[str, int]:
    (application,) = config["applications"]
    return {
        stage["name"]: stage["autoscaling_config"]["max_replicas"]
        for stage in application["deployments"]
    }


def cores(config: dict[str, Any]) -> float:
    """What all replicas take at most."""
    (application,) = config["applications"]
    return sum(
        stage["ray_actor_options"]["num_cpus"] * stage["autoscaling_config"]["max_replicas"]
        for stage in application["deployments"]
    )


@pytest.mark.parametrize(("text", "cores"), [("150000 100000", 1), ("max 100000", None)])
def test_a_container_has_the_cores_of_its_quota(
    text: str, cores: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpu.max").write_text(text)
    monkeypatch.setattr(fit, "_CPU_MAX", tmp_path / "cpu.max")
    assert fit.cores_here() == (cores or len(os.sched_getaffinity(0)))


def test_two_cores_have_room_for_one_replica_a_stage() -> None:
    config = fitted(read_config(), 2)
    assert set(most(config).values()) == {1}
    assert cores(config) + 0.1 <= 2


@pytest.mark.parametrize("cpus", [3, 4, 8, 15])
def test_all_replicas_fit_together(cpus: int) -> None:
    config = fitted(read_config(), cpus)
    assert cores(config) + 0.1 <= cpus  # and the next ingress replica
    assert cores(config) > cpus - 2  # and little is left over


def test_where_there_is_room_nothing_changes() -> None:
    assert fitted(read_config(), 16) == read_config()


def test_what_does_not_scale_is_counted_and_stays() -> None:
    fixed = {"name": "A", "num_replicas": 3, "ray_actor_options": {"num_cpus": 1}}
    scaling = {
        "name": "B",
        "ray_actor_options": {"num_cpus": 1},
        "autoscaling_config": {"min_replicas": 1, "max_replicas": 9},
    }
    free = {**scaling, "name": "C", "ray_actor_options": {"num_cpus": 0}}
    config = {"applications": [{"name": "x", "deployments": [fixed, scaling, free]}, {"name": "y"}]}
    a, b, c = fitted(config, 6)["applications"][0]["deployments"]
    assert (a, c) == (fixed, free)
    assert b["autoscaling_config"] == {"min_replicas": 1, "max_replicas": 3}
    assert config["applications"][0]["deployments"][1] == scaling  # the one given is as it was


def test_what_serve_scales_by_itself_is_bounded_too() -> None:
    deployments = [{"name": "any", "num_replicas": "auto", "ray_actor_options": {"num_cpus": 0.5}}]
    (application,) = fitted({"applications": [{"deployments": deployments}]}, 4)["applications"]
    assert application["deployments"] == [
        {**deployments[0], "autoscaling_config": {"max_replicas": 8}}
    ]

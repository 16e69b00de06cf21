"""New options rolled out under load, and a network's replica that hangs with them.

The last tests of the running service, since it is another one afterwards.
"""

import time

import httpx
import pytest

from benchmarks.chaos.config import Config, with_args
from benchmarks.chaos.redeploy import roll_out
from benchmarks.chaos.replicas import wait_for_answers, waited
from benchmarks.chaos.serve_state import ServeState, serve_state
from benchmarks.chaos.traffic import causes, failed, photo, steady_traffic
from benchmarks.running_service import RunningService
from tests.conftest import encoded, picture

_FILES = 77  # another limits.max_batch_files
_WARM = (128, 128)


@pytest.fixture(scope="module")
def state(service: RunningService) -> ServeState:
    """The dashboard of the service."""
    return serve_state(service)


def hanging(config: Config) -> Config:
    """The second application with the real network, and no patience with it."""
    (hasty,) = (app for app in config["applications"] if app["name"] == "hasty")
    hasty["args"] = {
        "model": {"engine": "auto", "threads": 1},
        "batching": {"stall_timeout_s": 0.5, "warmup": [_WARM]},
    }
    for stage in hasty["deployments"]:
        if stage["name"] == "UNet":
            stage |= {"health_check_period_s": 0.2, "graceful_shutdown_timeout_s": 1}
    return config


def test_a_roll_out_under_load_fails_no_request(service: RunningService, state: ServeState) -> None:
    changed = hanging(with_args(state.config(), "limits", max_batch_files=_FILES))
    with steady_traffic(service.url, photo(), clients=4) as answers:
        wait_for_answers(answers, 4)
        roll_out(state, changed)
        time.sleep(1)
    assert not failed(answers), causes(answers)
    assert httpx.get(f"{service.url}/v1/limits").json()["max_batch_files"] == _FILES


def test_a_batch_that_hangs_costs_its_replica(service: RunningService, state: ServeState) -> None:
    """One that takes long does for one that never ends: Serve's check sees no difference."""

    def network() -> set[int]:
        deployments = state.get()["applications"]["hasty"]["deployments"]
        return {r["pid"] for r in deployments["UNet"]["replicas"] if r["state"] == "RUNNING"}

    url = f"{service.url}/hasty/v1/matting"
    waited(lambda: len(network()) == 1, "the second application is not there")
    before = network()
    hung = encoded(picture(4096, 4096), "JPEG")
    answer = httpx.post(url, files={"image": hung}, params={"max_side": "4096"}, timeout=120)
    # It was tried twice, or was done just before its replica ended.
    assert answer.status_code in (200, 503), answer.text
    waited(lambda: bool(network()) and not network() & before, "the replica is not replaced")
    small = encoded(picture(*_WARM))
    assert httpx.post(url, files={"image": small}, timeout=60).status_code == 200


def test_a_network_that_cannot_open_changes_nothing(
    service: RunningService, state: ServeState
) -> None:
    before, config = service.replicas("UNet"), state.config()
    try:
        state.deploy(with_args(state.config(), "model", engine="torch", precision="int8"))
        waited(lambda: state.application()["status"] == "DEPLOY_FAILED", "it is not refused")
        assert "int8 is not for engine: torch: set engine" in state.application()["message"]
        assert service.replicas("UNet") == before
        answer = httpx.post(f"{service.url}/v1/matting", files={"image": encoded(picture())})
        assert answer.status_code == 200
    finally:
        state.deploy(config)
        waited(lambda: state.application()["status"] == "RUNNING", "the former one is not back")

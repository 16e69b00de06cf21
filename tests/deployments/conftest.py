"""One real service for the tests of this folder, started the way a user starts it."""

from collections.abc import Iterator

import pytest

from benchmarks.running_service import RunningService, read_config, running_service
from tests.collector import Collector, collecting


def hasty_application() -> dict[str, object]:
    """A second application beside the real one, whose requests have no time at all."""
    return {
        "name": "hasty",
        "route_prefix": "/hasty",
        "import_path": "serve_app.app:build_app",
        "args": {"model": {"engine": "fake"}, "limits": {"request_timeout_s": 0.001}},
        "deployments": [
            {"name": name, "ray_actor_options": {"num_cpus": 0}}
            for name in ("Ingress", "Preprocess", "UNet", "Postprocess")
        ],
    }


@pytest.fixture(scope="session")
def collector() -> Iterator[Collector]:
    """Takes the service's spans."""
    with collecting() as server:
        yield server


@pytest.fixture(scope="session")
def service(collector: Collector) -> Iterator[RunningService]:
    config = read_config()
    config["applications"][0]["args"]["tracing"] = {"endpoint": collector.endpoint}
    config["applications"].append(hasty_application())
    # Figures are reported every 3 s and not every 10, which the tests of them would wait for.
    hurry = {
        "RAY_metrics_report_interval_ms": "3000",
        "RAY_SERVE_STATUS_GAUGE_REPORT_INTERVAL_S": "1",
    }
    with running_service(config, hurry) as service:
        service.wait_until_ready()
        yield service

"""The metrics as an operator has them: a real Prometheus that scrapes the running service.

Every panel of the dashboard and every alert rule is asked there. The GPU row alone cannot have an
answer on a machine without one: its figures are Ray's own, whose names are compared with Ray's.
"""

import re
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchmarks.running_service import RunningService, free_port
from serve_app.errors import error_codes
from serve_app.metrics import METRICS
from tests.conftest import encoded, picture
from tests.monitoring import DASHBOARD, MONITORING, expressions, needs_prometheus, panels

# What Ray adds to every figure that a replica exports.
RAYS_LABELS = {
    *("Component", "NodeAddress", "SessionName", "Version", "WorkerId", "instance", "job"),
    *("otel_scope_name", "otel_scope_schema_url", "otel_scope_version"),
    *("application", "deployment", "replica"),
}


@dataclass(frozen=True)
class Prometheus:
    """A Prometheus that runs."""

    url: str

    def get(self, path: str, **parameters: str) -> Any:
        answer = httpx.get(f"{self.url}/api/v1/{path}", params=parameters, timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """Labels and value of every series now."""
        found = self.get("query", query=expression)["result"]
        return [(series["metric"], float(series["value"][1])) for series in found]

    def eventually(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """The same, as soon as there is a series: each process reports in its own time."""
        deadline = time.monotonic() + 60
        while not (found := self.query(expression)) and time.monotonic() < deadline:
            time.sleep(0.5)
        return found

    def wait_for(self, expression: str, timeout_s: float = 90) -> None:
        deadline = time.monotonic() + timeout_s
        while not any(value for _, value in self.query(expression)):
            assert time.monotonic() < deadline, f"still nothing: {expression}"
            time.sleep(0.5)


@pytest.fixture(scope="module")
def prometheus(service: RunningService, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The shipped configuration, but that it finds this Ray and looks each second."""
    needs_prometheus()
    folder = tmp_path_factory.mktemp("prometheus")
    config = (MONITORING / "prometheus.yml").read_text("utf-8")
    rays = service.log.parent / "ray" / "prom_metrics_service_discovery.json"
    config = config.replace("/tmp/ray/prom_metrics_service_discovery.json", str(rays))
    config = config.replace("15s", "1s")
    assert str(rays) in config
    (folder / "prometheus.yml").write_text(config)
    (folder / "alerts.yml").write_text((MONITORING / "alerts.yml").read_text("utf-8"))
    port = free_port()
    command = [
        *("prometheus", f"--config.file={folder}/prometheus.yml"),
        *(f"--storage.tsdb.path={folder}/data", f"--web.listen-address=127.0.0.1:{port}"),
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        try:
            wait_until_ready(f"http://127.0.0.1:{port}", process)
            yield Prometheus(f"http://127.0.0.1:{port}")
        finally:
            process.terminate()
            process.wait(30)


def wait_until_ready(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{url}/-/ready").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    pytest.fail("Prometheus is not ready")


@pytest.fixture(scope="module")
def figures(service: RunningService, prometheus: Prometheus) -> Prometheus:
    """Prometheus after two rounds of traffic, and so with a rate of everything."""
    done = 'sum(ray_matting_requests_total{application="matting", route="none"})'
    before = sum(value for _, value in prometheus.query(done))
    for round in (1, 2):
        ask_every_route(service.url)
        prometheus.wait_for(f"{done} >= {before + round}")
        prometheus.wait_for('sum(ray_matting_rejections_total{reason="timeout"}) >= 1')
    return prometheus


def ask_every_route(url: str) -> None:
    photo = encoded(picture(288, 512), "JPEG")
    with httpx.Client(base_url=url, timeout=120) as client, ThreadPoolExecutor(8) as pool:

        def post(path: str, **fields: bytes) -> int:
            return client.post(path, files=fields).status_code

        assert set(pool.map(lambda _: post("/v1/matting", image=photo), range(8))) == {200}
        batch = [("image", (f"{i}.jpg", photo if i else b"no image")) for i in range(3)]
        assert client.post("/v1/matting/batch", files=batch).status_code == 200
        assert post("/v1.0/removebg", image_file=photo) == 200
        assert post("/api/remove", file=photo) == 200
        assert post("/v1/matting", image=b"no image") == 415
        assert post("/v1/matting", image=b"\xff\xd8\xff" + bytes(25_000_000)) == 413
        assert post("/hasty/v1/matting", image=photo) == 504
        for path in ("", "v1/presets", "v1/models", "v1/limits", "healthz", "readyz", "docs"):
            assert client.get(f"/{path}").status_code == 200
        assert client.get("/no/such/route").status_code == 404


def test_every_metric_is_exported_and_no_other(figures: Prometheus) -> None:
    names = figures.get("label/__name__/values")
    ours = {name for name in names if name.startswith("ray_matting_")}
    assert {re.sub(r"_(bucket|sum|count)$", "", name) for name in ours} == {
        metric.exported for metric in METRICS
    }


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_its_labels_are_those_it_says(figures: Prometheus, metric: Any) -> None:
    name = f"{metric.exported}_bucket" if metric.buckets else metric.exported
    found = figures.eventually(name)
    assert found
    for labels, _ in found:
        own = set(labels) - RAYS_LABELS - {"__name__"}
        assert own == {*metric.labels, *(["le"] if metric.buckets else [])}
    if metric.buckets:
        bounds = {float(labels["le"]) for labels, _ in found}
        assert bounds == {*metric.buckets, float("inf")}


@pytest.mark.parametrize(
    "expression",
    [
        'sum(ray_matting_requests_total{route="/v1.0/removebg", code="200"}) >= 2',
        'sum(ray_matting_requests_total{application="hasty", code="504"}) >= 2',
        'sum(ray_matting_rejections_total{reason="file_too_large"}) >= 2',
        # Of a batch the bad image is refused, though the request as a whole is a 200.
        'sum(ray_matting_rejections_total{reason="unsupported_format"}) >= 4',
        'sum(ray_matting_output_bytes_count{application="matting"}) >= 24',
        # Batch sizes are exact: their sum is the number of images.
        'sum(ray_matting_batch_size_sum{application="matting"})'
        ' == sum(ray_matting_stage_duration_seconds_count{application="matting", stage="infer"})',
        "sum(ray_matting_inflight) == bool 0",
        "sum(ray_matting_queue_depth) == bool 0",
        'sum(ray_matting_model_info{application="matting", name="cvunet_matting"}) == 1',
    ],
)
def test_what_it_counts_is_so(figures: Prometheus, expression: str) -> None:
    """After two rounds at least of `ask_every_route`; each process reports in its own time."""
    figures.wait_for(expression, timeout_s=30)


def test_no_label_takes_what_clients_send(service: RunningService, figures: Prometheus) -> None:
    before = len(figures.query("ray_matting_requests_total"))
    for i in range(20):
        httpx.get(f"{service.url}/no/{i}?key={i}", headers={"X-Request-Id": f"id-{i}"})
    figures.wait_for('ray_matting_requests_total{application="matting", route="none"} >= 22')
    assert len(figures.query("ray_matting_requests_total")) == before
    reasons = {labels["reason"] for labels, _ in figures.query("ray_matting_rejections_total")}
    assert reasons <= error_codes()


@pytest.mark.parametrize(("title", "expression"), expressions(panels()), ids=lambda text: text[:60])
def test_every_panel_has_an_answer(figures: Prometheus, title: str, expression: str) -> None:
    expression = expression.replace("$application", ".*").replace("$__rate_interval", "5m")
    if title.startswith("GPU "):
        assert figures.query(expression) == []
        pytest.skip("there is no GPU here")
    found = figures.eventually(expression)
    assert found, f"{title}: {expression} has no answer"
    assert not any(value != value for _, value in found), f"{title} is not a number"


def test_the_dashboards_variable_has_values(figures: Prometheus) -> None:
    (variable,) = (v for v in DASHBOARD["templating"]["list"] if v["name"] == "application")
    query = variable["query"]["query"]
    metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", query).groups()
    assert {labels[label] for labels, _ in figures.query(metric)} == {"matting", "hasty"}


def test_every_alert_can_be_evaluated(figures: Prometheus) -> None:
    (group,) = figures.get("rules")["groups"]
    for rule in group["rules"]:
        assert rule["health"] == "ok", rule
        # All but those of the application that has no time at all.
        quiet = [alert for alert in rule["alerts"] if alert["labels"].get("application") != "hasty"]
        assert not any(alert["state"] == "firing" for alert in quiet), rule["name"]


def test_gpu_panels_ask_for_what_ray_exports() -> None:
    spec = find_spec("ray")
    assert spec is not None
    assert spec.origin is not None
    reporter = Path(spec.origin).parent / "dashboard/modules/reporter/reporter_agent.py"
    exported = set(re.findall(r'Gauge\(\s*"(\w+)"', reporter.read_text("utf-8")))
    asked = [expr for title, expr in expressions(panels()) if title.startswith("GPU ")]
    assert asked
    for expression in asked:
        for name in re.findall(r"ray_(\w+)", expression):
            assert name in exported

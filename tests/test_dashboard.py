"""The dashboard and the alerts as files: Grafana's own types, promtool, and what links to what.

Whether every expression has an answer is tried on a running service, in `deployments/`.
"""

import json
import os
import re
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from serve_app.metrics import METRICS
from serve_app.settings import ROOT
from tests.monitoring import DASHBOARD, MONITORING, expressions, needs_prometheus, panels

NPM = ROOT / ".cache" / "npm"
GRAFANA = "@grafana/schema@13.2"
TYPESCRIPT = "typescript@5.9"
GUIDE = (ROOT / "docs" / "troubleshooting.md").read_text("utf-8")
ALERTS = yaml.safe_load((MONITORING / "alerts.yml").read_text("utf-8"))["groups"][0]["rules"]

# JSON has no enums: their values stand for them.
_JSON = """
type Json<T> = T extends string ? `${T}` : T extends (infer U)[] ? Json<U>[]
  : T extends object ? { [K in keyof T]: Json<T[K]> } : T;
"""


_NAMES = {"heatmap": "Heatmap", "stat": "Stat", "timeseries": "TimeSeries"}


@pytest.fixture(scope="module")
def npm() -> Path:
    """The folder of npm packages, with Grafana's schema and a TypeScript compiler."""
    missing = not shutil.which("npm") or not (NPM / "node_modules" / "@grafana").is_dir()
    if missing and not os.environ.get("CI"):
        pytest.skip(f"npm install --prefix .cache/npm {GRAFANA} {TYPESCRIPT}")
    if missing:
        NPM.mkdir(parents=True, exist_ok=True)
        install = ["npm", "install", "--silent", "--prefix", str(NPM), GRAFANA, TYPESCRIPT]
        subprocess.run(install, check=True, timeout=180)
    return NPM / "node_modules"


def typed(dashboard: dict[str, Any]) -> str:
    """A TypeScript module that compiles only if Grafana knows every key and value of this."""
    lines = [
        "import type { Dashboard, Panel, RowPanel } from '@grafana/schema';",
        _JSON,
        "const dashboard: Json<Omit<Dashboard, 'panels'>> = "
        + json.dumps({k: v for k, v in dashboard.items() if k != "panels"}),
    ]
    for kind in {panel["type"] for panel in dashboard["panels"]} - {"row"}:
        module = f"{kind}/panelcfg/x/{_NAMES[kind]}PanelCfg_types.gen"
        lines.append(
            f"import type * as {kind} from '@grafana/schema/dist/esm/raw/composable/{module}';"
        )
    for i, panel in enumerate(dashboard["panels"]):
        if panel["type"] == "row":
            lines.append(f"const row{i}: Json<RowPanel> = {json.dumps(panel)}")
            continue
        kind = panel["type"]
        fields = panel["fieldConfig"]["defaults"]
        lines.append(f"const panel{i}: Json<Panel> = {json.dumps(panel)}")
        options = json.dumps(panel["options"])
        lines.append(f"const options{i}: Json<Partial<{kind}.Options>> = {options}")
        if "custom" in fields:
            custom = json.dumps(fields["custom"])
            lines.append(f"const custom{i}: Json<Partial<{kind}.FieldConfig>> = {custom}")
    return "\n".join(lines) + "\nexport {};\n"


def compile_errors(module: str, npm: Path, folder: Path) -> str:
    (folder / "dashboard.ts").write_text(module, "utf-8")
    (folder / "node_modules").symlink_to(npm)
    options = {
        **{"strict": True, "noEmit": True, "skipLibCheck": True, "types": []},
        **{"target": "es2022", "module": "esnext", "moduleResolution": "bundler"},
    }
    config = {"compilerOptions": options, "files": ["dashboard.ts"]}
    (folder / "tsconfig.json").write_text(json.dumps(config))
    done = subprocess.run(
        ["node", npm / "typescript" / "bin" / "tsc", "-p", "."],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    return done.stdout + done.stderr


def test_grafana_knows_every_key_of_it(npm: Path, tmp_path: Path) -> None:
    assert compile_errors(typed(DASHBOARD), npm, tmp_path) == ""


def test_a_key_that_grafana_does_not_know_is_found(npm: Path, tmp_path: Path) -> None:
    wrong = json.loads(json.dumps(DASHBOARD))
    panel = next(panel for panel in wrong["panels"] if panel["type"] == "timeseries")
    panel["options"]["legends"] = panel["options"].pop("legend")
    panel["fieldConfig"]["defaults"]["custom"]["drawStyle"] = "lines"
    wrong["tag"] = []
    errors = compile_errors(typed(wrong), npm, tmp_path)
    for word in ("legends", '"lines"', '"tag"'):
        assert word in errors


def test_panels_have_ids_of_their_own_and_do_not_overlap() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells


def test_it_shows_every_metric_and_asks_for_no_other_of_ours() -> None:
    asked = set()
    for _, expression in expressions(panels()):
        asked |= set(re.findall(r"ray_matting_\w+", expression))
    assert {re.sub(r"_(bucket|sum|count)$", "", name) for name in asked} == {
        metric.exported for metric in METRICS
    }


def test_the_rows_are_what_an_operator_looks_for() -> None:
    rows = [panel["title"] for panel in DASHBOARD["panels"] if panel["type"] == "row"]
    wanted = ("Requests", "Stages", "Batching", "Saturation", "Refusals", "Replicas", "GPU")
    assert [word for word in wanted if any(row.startswith(word) for row in rows)] == list(wanted)


def test_the_gpu_row_alone_is_about_gpus() -> None:
    """By their titles the test on a running service knows which may be empty."""
    about = {
        title for title, expr in expressions(panels()) if re.search(r"ray_node_g(pu|ram)", expr)
    }
    assert about == {title for title, _ in expressions(panels()) if title.startswith("GPU ")}
    tests = yaml.safe_load((MONITORING / "alerts.test.yml").read_text("utf-8"))["tests"]
    tried = {case["expr"] for test in tests for case in test.get("promql_expr_test", [])}
    assert {expr for title, expr in expressions(panels()) if title in about} <= tried


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_every_alert_has_a_place_in_the_guide(rule: dict[str, Any]) -> None:
    anchor = rule["annotations"]["runbook_url"]
    assert anchor == f"docs/troubleshooting.md#{rule['alert'].lower()}"
    section = GUIDE.split(f"\n### {rule['alert']}\n")[1].split("\n### ")[0]
    for part in ("**Means**", "**Do**"):
        assert part in section


def test_the_guide_knows_no_other_alert() -> None:
    told = re.findall(r"^### (Matting\w+)$", GUIDE, re.MULTILINE)
    assert told == [rule["alert"] for rule in ALERTS]


def test_every_metric_stands_in_the_guide() -> None:
    rows = dict(re.findall(r"^\| `(ray_matting_\w+)` \| (.*) \|$", GUIDE, re.MULTILINE))
    for metric in METRICS:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        assert rows.pop(metric.exported) == f"{labels} | {metric.meaning}"
    assert rows == {}


def test_buckets_rise() -> None:
    for metric in METRICS:
        assert all(low < high for low, high in pairwise(metric.buckets))


@pytest.mark.parametrize(
    "arguments",
    [["check", "config", "prometheus.yml"], ["test", "rules", "alerts.test.yml"]],
    ids=" ".join,
)
def test_promtool_accepts_it(arguments: list[str]) -> None:
    needs_prometheus()
    done = subprocess.run(
        ["promtool", *arguments], cwd=MONITORING, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_every_alert_is_seen_to_fire(rule: dict[str, Any]) -> None:
    tests = yaml.safe_load((MONITORING / "alerts.test.yml").read_text("utf-8"))["tests"]
    cases = [case for test in tests for case in test.get("alert_rule_test", [])]
    assert any(c["alertname"] == rule["alert"] and c["exp_alerts"] for c in cases)


def test_the_provisioning_finds_the_dashboard() -> None:
    folder = MONITORING / "grafana" / "provisioning"
    (source,) = yaml.safe_load((folder / "datasources" / "prometheus.yml").read_text())[
        "datasources"
    ]
    assert source["type"] == "prometheus"
    (provider,) = yaml.safe_load((folder / "dashboards" / "matting.yml").read_text())["providers"]
    assert provider["type"] == "file"
    assert provider["options"]["path"]

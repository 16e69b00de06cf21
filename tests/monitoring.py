"""What stands in `configs/monitoring/`, for the tests of it."""

import json
import os
import shutil
from typing import Any

import pytest

from serve_app.settings import ROOT

MONITORING = ROOT / "configs" / "monitoring"
DASHBOARD: dict[str, Any] = json.loads(
    (MONITORING / "grafana" / "dashboards" / "matting.json").read_text("utf-8")
)


def needs_prometheus() -> None:
    """Skip where it is not installed; CI must have it."""
    if shutil.which("prometheus") and shutil.which("promtool"):
        return
    if os.environ.get("CI"):
        pytest.fail("prometheus is missing: CI must have it")
    pytest.skip("prometheus is not installed: apt-get install prometheus")


def panels() -> list[dict[str, Any]]:
    """Every panel that shows something; rows only part them."""
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def expressions(panels: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Each panel's title with each of its expressions."""
    return [(p["title"], target["expr"]) for p in panels for target in p["targets"]]

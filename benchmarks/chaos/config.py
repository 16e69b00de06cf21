"""Services that differ from `serve_config.yaml` in what one row needs."""

import copy
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from benchmarks.running_service import ROOT, RunningService, running_service

START_TIMEOUT_S = 300

Config = dict[str, Any]


def base_config() -> Config:
    return dict(yaml.safe_load((ROOT / "serve_config.yaml").read_text("utf-8")))


def with_args(config: Config, section: str, **values: object) -> Config:
    """The same configuration with other settings in one section."""
    changed = copy.deepcopy(config)
    changed["applications"][0]["args"].setdefault(section, {}).update(values)
    return changed


@contextmanager
def started(change: Callable[[Config], None] | None = None) -> Iterator[RunningService]:
    """A ready service of our own, on a free port of loopback."""
    config = base_config()
    if change is not None:
        change(config)
    with tempfile.TemporaryDirectory(prefix="chaos") as folder:
        path = Path(folder) / "config.yaml"
        path.write_text(yaml.safe_dump(config), "utf-8")
        with running_service(path) as service:
            service.wait_until_ready(START_TIMEOUT_S)
            yield service


def leaking(config: Config) -> None:
    config["applications"][0]["import_path"] = "benchmarks.chaos.leaking:build_app"

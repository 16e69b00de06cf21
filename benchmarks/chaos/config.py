"""Services that differ from `serve_config.yaml` in what one row needs."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.running_service import RunningService, read_config, running_service

Config = dict[str, Any]


def with_args(config: Config, section: str, **values: object) -> Config:
    """The same configuration with other settings in one section."""
    changed = copy.deepcopy(config)
    changed["applications"][0]["args"].setdefault(section, {}).update(values)
    return changed


@contextmanager
def started(change: Callable[[Config], None] | None = None) -> Iterator[RunningService]:
    """A ready service of our own, on a free port of loopback."""
    config = read_config()
    if change is not None:
        change(config)
    with running_service(config) as service:
        service.wait_until_ready()
        yield service


def leaking(config: Config) -> None:
    """Have the soak's control run in place of the service."""
    config["applications"][0]["import_path"] = "benchmarks.chaos.leaking:build_app"

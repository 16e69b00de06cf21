"""Services that differ from `serve_config.yaml` in what one row needs."""

import copy
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from benchmarks.chaos.progress import say
from benchmarks.running_service import RunningService, read_config, running_service

Config = dict[str, Any]
_ATTEMPTS = 3  # Ray gives its own processes 30 s to start, which a busy machine doesn't always do


def with_args(config: Config, section: str, **values: object) -> Config:
    """The same configuration with other settings in one section."""
    changed = copy.deepcopy(config)
    (application,) = (app for app in changed["applications"] if app["name"] == "matting")
    application["args"].setdefault(section, {}).update(values)
    return changed


@contextmanager
def started(change: Callable[[Config], None] | None = None) -> Iterator[RunningService]:
    """A ready service of our own, on a free port of loopback."""
    config = read_config()
    if change is not None:
        change(config)
    with ExitStack() as stack:
        yield _ready_service(config, stack)


def _ready_service(config: Config, stack: ExitStack) -> RunningService:
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            with ExitStack() as own:
                service = own.enter_context(running_service(config))
                service.wait_until_ready()
                stack.enter_context(own.pop_all())
                return service
        except RuntimeError as exc:
            if attempt == _ATTEMPTS:
                raise
            say(f"the service did not start, trying once more: {str(exc)[:60]!r}")
    raise AssertionError


def leaking(config: Config) -> None:
    """Have the soak's control run in place of the service."""
    config["applications"][0]["import_path"] = "benchmarks.chaos.leaking:build_app"

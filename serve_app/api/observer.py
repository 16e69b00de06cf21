"""What the HTTP side tells of its requests, for metrics."""

from typing import Any, Protocol

from starlette.requests import Request
from starlette.routing import Mount
from starlette.types import Scope

from serve_app.errors import MattingError


class Observer(Protocol):
    """Hears of every answer. `route` and `reason` take few values, whatever clients send."""

    def answered(self, route: str, status: int, seconds: float) -> None: ...

    def refused(self, reason: str) -> None: ...


class _Silent:
    def answered(self, route: str, status: int, seconds: float) -> None:
        pass

    def refused(self, reason: str) -> None:
        pass


SILENT: Observer = _Silent()
"""Nobody listens: outside of Ray Serve there is nothing that exports metrics."""


def refuse(request: Request, error: MattingError) -> None:
    """Tell the log, the metrics and whatever stands around which error a request gets."""
    request.state.error = error
    request.state.log["code"] = error.code
    request.state.observer.refused(error.code)


def route_of(scope: Scope, prefix: str) -> str:
    """The route that took a request, without the prefix that the whole application has.

    Its pattern and not its path, and one name for all that have none: these are a label.
    """
    route: Any = scope.get("route")
    if route is None:
        return "none"
    root = scope.get("root_path", "").removeprefix(prefix)
    if not isinstance(route, Mount):
        return f"{root}{route.path_format}"
    # Below a mount nothing took it, or files did, whose folder is named by their content.
    return f"/{route.name}" if route.name else f"{root}/none"

"""Refusing in the proxy what the ingress would refuse: there it costs a tenth.

A request on its way to an ingress replica is copied, routed and queued, and under a multiple of the
load that work is taken from the images that were let in. So an ingress that refuses a request since
it is full, and not for what the request is, says in a header of that answer for how long nothing
need be asked. The proxy takes the header off and answers by itself until then; what comes next is
let through and finds out anew. Each proxy knows what it was told alone.
"""

import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app.api.refusing import PATHS, refusing_api
from serve_app.deployments.metrics import RefusalMetrics
from serve_app.errors import Full, Overloaded

_HEADER = "x-matting-full"


class TellsProxy:
    """ASGI middleware around the ingress: says on the answer that refuses that it is full."""

    def __init__(self, app: ASGIApp, application: str) -> None:
        self._app = app
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})

        async def send_telling(message: Message) -> None:
            error = state.get("error")
            if message["type"] == "http.response.start" and isinstance(error, Full):
                told = _Told(self._application, error.pause_s, error.detail, error.retry_after)
                MutableHeaders(scope=message)[_HEADER] = told.encoded()
            await send(message)

        await self._app(scope, receive, send_telling)


class ShedsWhileFull:
    """ASGI middleware of the proxy: refuses images while the ingress is known to be full."""

    def __init__(self, app: ASGIApp, clock: Callable[[], float] = time.monotonic) -> None:
        self._app = app
        self._clock = clock
        self._refusals: dict[str, _Refusal] = {}  # by the route prefix of an application
        self._in_hand: Counter[str] = Counter()  # images that the ingress has, likewise

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        prefix = _prefix(scope)
        if prefix is None:
            await self._app(scope, receive, send)
            return
        refusal = self._refusals.get(prefix)
        if (
            refusal is not None
            and self._in_hand[prefix] >= refusal.room
            and self._clock() < refusal.until
        ):
            # The body is not read: the server discards what is still to come of it.
            error = Overloaded(refusal.told.detail, refusal.told.retry_after)
            own = {**scope, "root_path": prefix, "state": {"refusal": error}}
            await refusal.app(own, receive, send)
            return

        async def send_listening(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 503:
                self._listen(prefix, MutableHeaders(scope=message))
            await send(message)

        self._in_hand[prefix] += 1
        try:
            await self._app(scope, receive, send_listening)
        finally:
            self._in_hand[prefix] -= 1
            if not self._in_hand[prefix]:
                del self._in_hand[prefix]

    def _listen(self, prefix: str, headers: MutableHeaders) -> None:
        text = headers.get(_HEADER)
        if text is None:
            return
        del headers[_HEADER]
        told = _Told(**json.loads(text))
        known = self._refusals.get(prefix)
        app = known.app if known else refusing_api(RefusalMetrics(told.application))
        room = self._in_hand[prefix] - 1
        self._refusals[prefix] = _Refusal(told, self._clock() + told.pause_s, room, app)


@dataclass(frozen=True, slots=True)
class _Told:
    """What a full ingress tells the proxy."""

    application: str
    pause_s: float
    detail: str
    retry_after: int

    def encoded(self) -> str:
        fields = {name: getattr(self, name) for name in self.__slots__}
        return json.dumps(fields)  # ASCII, as a header must be


@dataclass(frozen=True, slots=True)
class _Refusal:
    """What one application's images are answered with, and until when."""

    told: _Told
    until: float
    room: int
    app: Starlette


def _prefix(scope: Scope) -> str | None:
    """What stands before the path of one image; None where the request is not one."""
    if scope["type"] != "http" or scope["method"] != "POST":
        return None
    path: str = scope["path"]
    known = next((known for known in PATHS if path.endswith(known)), None)
    return None if known is None else path.removesuffix(known)

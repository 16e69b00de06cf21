"""Refusing in the proxy what the ingress would refuse, where it costs the least.

A request on its way to an ingress replica is copied, routed and queued, and under a multiple of the
load that work is taken from the images that were let in. So an ingress that refuses a request since
it is full, and not for what the request is, says in a header of that answer for how long it need
not be asked. The proxy takes the header off, and until then lets in only as many images as are
answered meanwhile; the rest it refuses itself. What comes after that finds out anew. Each proxy
knows alone what it was told.
"""

import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app.api.observer import Observer
from serve_app.api.refusing import PATHS, refusing_api
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
                MutableHeaders(scope=message)[_HEADER] = json.dumps(asdict(told))
            await send(message)

        await self._app(scope, receive, send_telling)


class ShedsWhileFull:
    """ASGI middleware of the proxy: refuses images while the ingress is known to be full."""

    def __init__(
        self,
        app: ASGIApp,
        observer_of: Callable[[str], Observer],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`observer_of` gives who hears of an application's refusals, by its name."""
        self._app = app
        self._observer_of = observer_of
        self._clock = clock
        # Both by what stands before an image's path: the route prefix of an application.
        self._pauses: dict[str, _Pause] = {}
        self._in_hand: Counter[str] = Counter()  # images that were passed on, unanswered as yet

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        prefix = _prefix(scope)
        if prefix is None:
            await self._app(scope, receive, send)
            return
        pause = self._pauses.get(prefix)
        if pause and self._in_hand[prefix] >= pause.room and self._clock() < pause.until:
            # The body is not read: the server discards what is still to come of it.
            error = Overloaded(pause.told.detail, pause.told.retry_after)
            await pause.app(
                {**scope, "root_path": prefix, "state": {"refusal": error}}, receive, send
            )
            return

        async def send_listening(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._listen(prefix, MutableHeaders(scope=message))
            await send(message)

        self._in_hand[prefix] += 1
        try:
            await self._app(scope, receive, send_listening)
        finally:
            self._in_hand[prefix] -= 1
            if not self._in_hand[prefix]:
                del self._in_hand[prefix]  # whatever path a client makes up is gone with it

    def _listen(self, prefix: str, headers: MutableHeaders) -> None:
        text = headers.get(_HEADER)
        if text is None:
            return
        del headers[_HEADER]
        told = _Told(**json.loads(text))
        known = self._pauses.get(prefix)
        app = known.app if known else refusing_api(self._observer_of(told.application))
        room = self._in_hand[prefix] - 1  # all but the one that was refused
        self._pauses[prefix] = _Pause(told, self._clock() + told.pause_s, room, app)


@dataclass(frozen=True, slots=True)
class _Told:
    """What a full ingress tells the proxy."""

    application: str
    pause_s: float
    detail: str
    retry_after: int


@dataclass(frozen=True, slots=True)
class _Pause:
    """How an application's images are refused, until when, and how many have room before that."""

    told: _Told
    until: float
    room: int
    app: ASGIApp


def _prefix(scope: Scope) -> str | None:
    """What stands before the path of one image; None where the request is not one."""
    if scope["type"] != "http" or scope["method"] != "POST":
        return None
    path: str = scope["path"]
    known = next((known for known in PATHS if path.endswith(known)), None)
    return None if known is None else path.removesuffix(known)

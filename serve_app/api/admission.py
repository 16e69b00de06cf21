"""What one ingress replica takes on: by count, by pixels, by bytes held and by expected wait.

Work is refused while it is still cheap to refuse: a request that comes while too much waits is told
so before its body is read, and an image by what its header says before anyone decodes it. Whatever
is within the limits for one image is let in when nothing else is there.
"""

import asyncio
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from starlette.types import ASGIApp, Receive, Scope, Send

from serve_app.api.service import Matting
from serve_app.engines.base import EngineInfo
from serve_app.errors import DeadlineExceeded, Full, Overloaded
from serve_app.imaging.peek import peek_size
from serve_app.options import Options
from serve_app.settings import Limits
from serve_app.types import Result, Upload

_ALWAYS = 8  # images at work that no expected wait keeps out: it is a guess while few were measured
_RETRY_S = (1, 60)  # least and most that a client is told to wait
_UNMEASURED_RETRY_S = 2
# A full ingress need not be asked again before so much of the work in hand is done: too little for
# it, or for another one that is not as full, to run dry meanwhile. And not for longer than this.
_PAUSE_SHARE = 1 / 4
_PAUSE_S = 1.0


class Admission:
    """Counts what is at work in one event loop, and refuses what would be too much."""

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self.images = 0
        self.pixels = 0
        self.held_bytes = 0  # of uploads, from their first byte to their answer
        self._limits = limits
        self._pace = _Pace(clock)
        # Few at a time say how long an image takes, and not how many get done when many come: one
        # client's pace would keep a burst out, and all that autoscaling never sees is no load.
        self._full_pace = _Pace(clock, few=_ALWAYS)

    def check(self) -> None:
        """Raise Full if one more image would be too many, or would wait for too long."""
        limits = self._limits
        if self.images >= limits.max_inflight:
            raise self._full(
                f"{self.images} images are at work, limits.max_inflight is {limits.max_inflight}"
            )
        wait = self.expected_wait_s()
        judged = self.images >= _ALWAYS and self._full_pace.rate is not None
        if judged and wait is not None and wait > limits.max_wait_s:
            raise self._full(
                f"{self.images} images are at work, {wait:.0f} s at the present pace, "
                f"limits.max_wait_s is {limits.max_wait_s:g}"
            )

    @contextmanager
    def admitted(self, pixels: int) -> Iterator[None]:
        """Count an image of so many pixels while it is at work. Raises Overloaded."""
        self.check()
        most = self._limits.max_inflight_pixels
        if self.images and self.pixels + pixels > most:
            raise self._overloaded(
                f"{self.pixels / 1e6:.0f} megapixels are at work and this image has "
                f"{pixels / 1e6:.0f}, limits.max_inflight_pixels is {most / 1e6:g} million"
            )
        self._pass_time()
        self.images += 1
        self.pixels += pixels
        done = False
        try:
            yield
            done = True
        finally:
            self._pass_time(done)
            self.images -= 1
            self.pixels -= pixels

    def hold(self, size: int, own: int) -> None:
        """Count bytes of an upload that has `own` already. Raises Overloaded."""
        most = self._limits.max_inflight_bytes
        if self.held_bytes > own and self.held_bytes + size > most:
            raise self._overloaded(
                f"{self.held_bytes:,} bytes of uploads are held, limits.max_inflight_bytes is "
                f"{most:,}"
            )
        self.held_bytes += size

    def release(self, size: int) -> None:
        self.held_bytes -= size

    def expected_wait_s(self) -> float | None:
        """How long the images at work will take; None while too few were measured."""
        rate = max(self._pace.rate or 0.0, self._full_pace.rate or 0.0)
        return self.images / rate if rate else None

    def _pass_time(self, done: bool = False) -> None:
        self._pace.pass_time(busy=self.images > 0, done=done)
        self._full_pace.pass_time(busy=self.images >= _ALWAYS, done=done)

    def _full(self, why: str) -> Full:
        after = self._retry_after()
        wait = self.expected_wait_s()
        pause_s = _PAUSE_S if wait is None else min(_PAUSE_S, wait * _PAUSE_SHARE)
        return Full(f"{why}: try again in {after} s", after, pause_s)

    def _overloaded(self, why: str) -> Overloaded:
        after = self._retry_after()
        return Overloaded(f"{why}: try again in {after} s", after)

    def _retry_after(self) -> int:
        wait = self.expected_wait_s()
        least, most = _RETRY_S
        return _UNMEASURED_RETRY_S if wait is None else min(most, max(least, math.ceil(wait)))


class _Pace:
    """Images done per second while there is work; what was longer ago counts less."""

    _HALF_LIFE_S = 10.0  # of busy time: what else the machine has to do comes and goes

    def __init__(self, clock: Callable[[], float], few: int = 3) -> None:
        """`few`: so many answers say something."""
        self._clock = clock
        self._few = few
        self._at = clock()
        self._busy_s = self._done = 0.0
        self._measured = 0

    @property
    def rate(self) -> float | None:
        return self._done / self._busy_s if self._measured >= self._few and self._busy_s else None

    def pass_time(self, busy: bool, done: bool = False) -> None:
        """Note what the time since the last call was, and whether it ended with an answer."""
        now = self._clock()
        if busy:
            fading = 0.5 ** ((now - self._at) / self._HALF_LIFE_S)
            self._busy_s = self._busy_s * fading + now - self._at
            self._done = self._done * fading + done
            self._measured += done
        self._at = now


class Admitting:
    """A `Matting` behind an admission, and with the time limit of a request."""

    def __init__(self, matting: Matting, admission: Admission, limits: Limits) -> None:
        self._matting = matting
        self._admission = admission
        self._limits = limits

    async def matte(self, upload: Upload, options: Options) -> Result:
        seconds = self._limits.request_timeout_s
        with self._admission.admitted(pixels_of(upload, self._limits)):
            try:
                async with asyncio.timeout(seconds):
                    return await self._matting.matte(upload, options)
            except TimeoutError as exc:
                raise DeadlineExceeded(
                    f"the image was not done within {seconds:g} s: try a smaller one, or again "
                    "when the service is less busy"
                ) from exc

    async def describe(self) -> EngineInfo:
        return await self._matting.describe()


def pixels_of(upload: Upload, limits: Limits) -> int:
    """What the files of an upload will have decoded, as their headers say; at worst the limit."""
    total = 0
    for data in (upload.image, upload.background_image, upload.trimap):
        if data:
            size = peek_size(data)
            total += limits.max_pixels if size is None else min(limits.max_pixels, math.prod(size))
    return total


class HeldUpload:
    """The bytes of one request's upload, counted while they come and until it is answered."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._size = 0

    def check(self) -> None:
        """Raise Overloaded if the upload need not be read, since it would be refused after it."""
        self._admission.check()

    def add(self, size: int) -> None:
        """Count bytes that have come. Raises Overloaded."""
        self._admission.hold(size, self._size)
        self._size += size

    def release(self) -> None:
        self._admission.release(self._size)
        self._size = 0


class UploadAdmission:
    """ASGI middleware: each request has a `HeldUpload` in its state, released at its end."""

    def __init__(self, app: ASGIApp, admission: Admission) -> None:
        self._app = app
        self._admission = admission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        held = scope.setdefault("state", {})["upload"] = HeldUpload(self._admission)
        try:
            await self._app(scope, receive, send)
        finally:
            held.release()

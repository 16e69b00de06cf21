"""A request as it comes, within the limits: not too much, not too slowly, and while it is there."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from math import inf
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive

from serve_app.api.admission import HeldUpload
from serve_app.errors import FileTooLarge, UploadTimeout
from serve_app.settings import Limits

_T = TypeVar("_T")

# What has been sent may be on its way: a sender's buffers, and Serve's proxy, pass on what they
# have in pieces.
_ALLOWANCE = 5 / 4


async def receive_body(request: Request, max_bytes: int, limits: Limits) -> AsyncIterator[bytes]:
    """Yield the pieces of a body of at most `max_bytes`.

    Raises:
        FileTooLarge: announced or received more than that.
        UploadTimeout: over `limits.upload_timeout_s`, or too slow on the way.
        Overloaded: its image would be refused anyway, or too much is held already.
        ClientDisconnect: the client has left.
    """
    upload: HeldUpload = request.state.upload
    upload.check()
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > max_bytes:
        raise too_large(int(announced), max_bytes)
    received = 0
    async for piece in receive_pieces(request.receive, limits, limits.upload_timeout_s):
        received += len(piece)
        if received > max_bytes:
            raise too_large(received, max_bytes)
        upload.add(len(piece))
        yield piece


async def receive_pieces(
    receive: Receive, limits: Limits, timeout_s: float = inf
) -> AsyncIterator[bytes]:
    """Yield the pieces of a body of any size; time that the reader takes is not the sender's.

    Raises:
        UploadTimeout: over `timeout_s`, or below `limits.upload_min_rate`.
        ClientDisconnect: the client has left.
    """
    idle_s = limits.upload_idle_timeout_s * _ALLOWANCE
    left_s, idle_left_s, progress, more = timeout_s, idle_s, 0, True
    least = _least(limits)
    clock = asyncio.get_running_loop().time
    while more:
        start = clock()
        try:
            async with asyncio.timeout(min(left_s, idle_left_s)):
                message = await receive()
        except TimeoutError as exc:
            raise _too_slow(limits, timeout_s) from exc
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body = message.get("body", b"")
        progress += len(body)
        left_s -= clock() - start
        idle_left_s -= clock() - start
        if progress >= least:
            idle_left_s, progress = idle_s, 0
        yield body
        more = message.get("more_body", False)


def too_large(size: int, limit: int) -> FileTooLarge:
    return FileTooLarge(
        f"{size:,} bytes are over the limit of {limit:,}: send a smaller file, or raise "
        "limits.max_bytes in the settings"
    )


async def while_connected(request: Request, work: Coroutine[Any, Any, _T]) -> _T:
    """Await work whose body has been read; it is cancelled where nobody waits for it any more.

    Raises:
        ClientDisconnect: the client has left.
    """
    task, left = asyncio.create_task(work), asyncio.create_task(_disconnect(request.receive))
    try:
        await asyncio.wait((task, left), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        task.cancel()
        left.cancel()
        await asyncio.gather(task, left, return_exceptions=True)


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _least(limits: Limits) -> int:
    """Bytes that each idle time must bring: a byte now and then is no upload."""
    return max(1, int(limits.upload_min_rate * limits.upload_idle_timeout_s))


def _too_slow(limits: Limits, timeout_s: float) -> UploadTimeout:
    whole = "" if timeout_s == inf else f", or all of it within {timeout_s:g} s"
    return UploadTimeout(
        f"the upload came too slowly: {_least(limits):,} bytes must come within "
        f"{limits.upload_idle_timeout_s:g} s{whole}; send it over a faster line, or smaller files"
    )

"""Calls written once for both clients.

A call is a generator: it yields what it needs from the world, a request or a pause, and is given
the answer. `Client` takes each step at once, `AsyncClient` without holding up its event loop.
"""

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

import httpx

from serve_app.client.wire import ServiceUnreachable, error_of, retry_delay

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

Feed: TypeAlias = Callable[[bytes], object]


@dataclass(frozen=True, slots=True)
class Send:
    """A request. A good answer goes piece by piece to `reader`, where there is one."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, str] | None = None
    files: Mapping[str, tuple[str, bytes]] | None = None
    content: Iterator[bytes] | None = None
    reader: Callable[[httpx.Response], AbstractContextManager[Feed]] | None = None


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing for a while."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Done(Generic[T_co]):
    """What a call came to."""

    value: T_co


Step: TypeAlias = Send | Pause
Answer: TypeAlias = httpx.Response | ServiceUnreachable | None
Flow: TypeAlias = Generator[Step, Any, T]


class Run(Protocol):
    """Takes all steps of a call."""

    def __call__(self, flow: Flow[T], /) -> T: ...


class AsyncRun(Protocol):
    """The same for asyncio."""

    async def __call__(self, flow: Flow[T], /) -> T: ...


def advance(flow: Flow[T], answer: Answer) -> Step | Done[T]:
    """Give a call the answer to its last step; its next one, or what it came to."""
    try:
        return flow.throw(answer) if isinstance(answer, Exception) else flow.send(answer)
    except StopIteration as end:
        return Done(end.value)


def asked(request: Callable[[], Send], tries: int) -> Flow[httpx.Response]:
    """Ask, and again each time that the service says to come back later.

    Raises:
        MattingError: what the service answered, or ServiceUnreachable.
    """
    for attempt in range(tries):
        response: httpx.Response = yield request()
        if response.is_success:
            return response
        delay = retry_delay(response, attempt)
        if delay is None or attempt + 1 == tries:
            break
        yield Pause(delay)
    raise error_of(response)


def insisted(request: Callable[[], Send], tries: int) -> Flow[httpx.Response]:
    """Ask as `asked` does, and again where no answer came: for what may be done twice."""
    for attempt in range(tries - 1):
        try:
            return (yield from asked(request, tries))
        except ServiceUnreachable:
            yield Pause(backoff(attempt))
    return (yield from asked(request, tries))


def backoff(attempt: int) -> float:
    """How long to wait where nobody says it, s."""
    return min(10.0, 0.5 * 2.0**attempt)

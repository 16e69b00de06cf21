"""Fetching from, and posting to, a URL that a stranger gave: never their way into our network.

A name is resolved once, every address it gives must be public, and the connection goes to that
very address; a resolver that answers otherwise the second time changes nothing. Each redirect is
a new URL, checked as the first. Proxies of the environment and cookies play no part. Every refusal
has the same text, so that the answers map nothing.
"""

import asyncio
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, TypeVar
from urllib.parse import quote, urljoin, urlsplit

import httpcore
import httpx

from serve_app import __version__
from serve_app.api.addresses import is_public
from serve_app.errors import DownloadFailed, DownloadTimeout, FileTooLarge, UrlNotAllowed
from serve_app.settings import RemoteSettings

T = TypeVar("T")

Resolve = Callable[[str, int], Awaitable[list[str]]]

_PORTS = {"http": 80, "https": 443}
_REDIRECTS = (301, 302, 303, 307, 308)
_MAX_REDIRECTS = 3
_MAX_URL = 2048  # characters
_RESOLVING = 16  # names at once

_NAME = re.compile(r"[a-z0-9_.-]+", re.IGNORECASE)
_AMBIGUOUS = re.compile(r"[\x00-\x20\x7f\\]")
_UNQUOTED = "%/:;=@!$&'()*+,?~[]"

# An image above all, but a manifest is a file, too.
_ACCEPT = (b"Accept", b"image/*, */*;q=0.5")

_REFUSAL = (
    "the URL is not one that this service fetches: send the file itself, or an http(s) URL of a "
    "public host where fetching is switched on"
)
_FAILURE = "the URL did not answer with a file: see that it opens without a login, or send the file"


@dataclass(frozen=True, slots=True)
class _Target:
    """A checked URL, in the pieces that a connection is made of."""

    scheme: str
    host: str
    port: int
    path: str  # with its query

    @property
    def wire(self) -> httpcore.URL:
        return httpcore.URL(scheme=self.scheme, host=self.host, port=self.port, target=self.path)

    @property
    def headers(self) -> list[tuple[bytes | str, bytes | str]]:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return [
            ("Host", host + port),
            ("User-Agent", f"cvunet-serve/{__version__}"),  # some hosts refuse who says nothing
            # Not compressed: a bound on what is received is then one on what is held.
            ("Accept-Encoding", "identity"),
        ]


class Resolver:
    """Asks the system's resolver for all addresses of a name.

    In threads of its own: a name server that never answers holds one for long after its caller has
    given up, and the event loop's own threads have other things to do.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_RESOLVING, "resolver")

    async def __call__(self, host: str, port: int) -> list[str]:
        loop = asyncio.get_running_loop()
        ask = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        found = await loop.run_in_executor(self._threads, ask)
        return [str(address[0]) for *_, address in found]


class Remote:
    """Fetches images where the settings allow it."""

    def __init__(
        self, settings: RemoteSettings, max_bytes: int, resolve: Resolve | None = None
    ) -> None:
        self._settings = settings
        self._max_bytes = max_bytes
        self._resolve = resolve or Resolver()

    async def fetch(self, url: str) -> bytes:
        """Return the body behind `url`.

        Raises:
            UrlNotAllowed: fetching is off, or the URL or a redirect leads where it must not.
            DownloadFailed: nothing there, or an answer that isn't 200.
            DownloadTimeout: over `remote.timeout_s`.
            FileTooLarge: over the limit for a file.
        """
        return await self._in_time(self._follow(url))

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """Post `body` and return the answer's status; a redirect is not followed.

        Raises:
            UrlNotAllowed, DownloadFailed, DownloadTimeout: as `fetch`.
        """
        sent = [*headers.items(), ("Content-Length", str(len(body)))]
        return await self._in_time(self._post(url, body, sent))

    async def check(self, url: str) -> None:
        """See whether `url` is one that may be connected to now.

        Raises:
            UrlNotAllowed, DownloadFailed, DownloadTimeout: as `fetch`; nothing is connected to.
        """
        await self._in_time(self._check(url))

    async def _in_time(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            if not self._settings.enabled:
                raise UrlNotAllowed(_REFUSAL)
            async with asyncio.timeout(self._settings.timeout_s):
                return await work
        except TimeoutError as exc:
            raise DownloadTimeout(
                f"the URL took over {self._settings.timeout_s:g} s: send the file itself"
            ) from exc
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError, ssl.SSLError) as exc:
            raise DownloadFailed(_FAILURE) from exc
        finally:
            work.close()

    async def _follow(self, url: str) -> bytes:
        for _ in range(_MAX_REDIRECTS + 1):
            target, backend = self._open(url)
            async with (
                httpcore.AsyncConnectionPool(self._tls, network_backend=backend) as pool,
                pool.stream("GET", target.wire, headers=[*target.headers, _ACCEPT]) as response,
            ):
                if response.status not in _REDIRECTS:
                    return await self._body(response)
                url = _joined(url, _location(response))
        raise DownloadFailed(_FAILURE)

    async def _post(self, url: str, body: bytes, headers: list[tuple[str, str]]) -> int:
        target, backend = self._open(url)
        sent = [*target.headers, *headers]
        async with (
            httpcore.AsyncConnectionPool(self._tls, network_backend=backend) as pool,
            pool.stream("POST", target.wire, headers=sent, content=body) as response,
        ):
            return response.status

    async def _check(self, url: str) -> None:
        target, backend = self._open(url)
        await backend.addresses(target.host, target.port)

    def _open(self, url: str) -> "tuple[_Target, _CheckedBackend]":
        """A URL in its pieces, and the way there."""
        target = _parse(url)
        trusted = f"{target.host}:{target.port}" in self._settings.test_hosts
        if target.port != _PORTS[target.scheme] and not trusted:
            raise UrlNotAllowed(_REFUSAL)
        return target, _CheckedBackend(self._resolve, check=not trusted)

    async def _body(self, response: httpcore.Response) -> bytes:
        if response.status != 200:
            raise DownloadFailed(_FAILURE)
        body = bytearray()
        async for chunk in response.aiter_stream():
            body += chunk
            if len(body) > self._max_bytes:
                raise FileTooLarge(
                    f"the file behind the URL is over the limit of {self._max_bytes:,} bytes: "
                    "give a smaller one"
                )
        return bytes(body)

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return httpx.create_ssl_context(trust_env=False)


class _CheckedBackend(httpcore.AsyncNetworkBackend):
    """Connects to the addresses that it has itself resolved and checked, and to no name."""

    def __init__(self, resolve: Resolve, check: bool) -> None:
        self._resolve = resolve
        self._check = check
        self._plain = httpcore.AnyIOBackend()

    async def addresses(self, host: str, port: int) -> list[str]:
        """Where a name leads. Raises UrlNotAllowed where that is not public."""
        addresses = await self._resolve(host, port)
        # One private address among public ones is reason enough: no honest host has that.
        if self._check and not all(is_public(address) for address in addresses):
            raise UrlNotAllowed(_REFUSAL)
        return addresses

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the protocol's own parameter
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        for address in await self.addresses(host, port):
            try:
                return await self._plain.connect_tcp(
                    address, port, timeout, local_address, socket_options
                )
            except httpcore.ConnectError:
                continue
        raise httpcore.ConnectError("no address answers")


def _parse(url: str) -> _Target:
    """Take a URL apart, strictly: what two parsers could read in two ways is refused."""
    if len(url) > _MAX_URL or _AMBIGUOUS.search(url):
        raise UrlNotAllowed(_REFUSAL)
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("idna").decode("ascii")
        port = parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError as exc:  # a bad port, bracket or label
        raise UrlNotAllowed(_REFUSAL) from exc
    literal = ":" in host
    if parts.scheme not in _PORTS or "@" in parts.netloc or not (literal or _NAME.fullmatch(host)):
        raise UrlNotAllowed(_REFUSAL)
    path = quote(parts.path or "/", safe=_UNQUOTED)
    query = f"?{quote(parts.query, safe=_UNQUOTED)}" if parts.query else ""
    return _Target(parts.scheme, host, port, path + query)


def _location(response: httpcore.Response) -> str:
    for name, value in response.headers:
        if name.lower() == b"location":
            try:
                return value.decode("utf-8")
            except UnicodeDecodeError:
                return value.decode("latin-1")
    raise DownloadFailed(_FAILURE)


def _joined(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError as exc:  # a bad bracket
        raise UrlNotAllowed(_REFUSAL) from exc

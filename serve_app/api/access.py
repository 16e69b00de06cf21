"""Who may ask, and how often: API keys and the rate limit, one implementation for every surface."""

import hashlib
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from starlette.requests import Request

from serve_app.drain import Drain
from serve_app.errors import AuthFailed, RateLimited
from serve_app.settings import AccessSettings

UNLIMITED = 2**31 - 1  # what clients are told where there is no limit: fits any integer of theirs

_WINDOW_S = 60


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left to a caller in the present minute."""

    limit: int
    remaining: int
    reset: int  # unix time at which it is whole again

    @property
    def headers(self) -> dict[str, str]:
        return {
            "X-Ratelimit-Limit": str(self.limit),
            "X-Ratelimit-Remaining": str(self.remaining),
            "X-Ratelimit-Reset": str(self.reset),
        }


class Access:
    """Checks keys and counts requests of one ingress replica."""

    def __init__(
        self,
        settings: AccessSettings,
        now: Callable[[], float] = time.time,
        drain: Drain | None = None,
    ) -> None:
        self._drain = drain or Drain()
        self._hashes = [bytes.fromhex(text) for text in settings.key_hashes]
        self._limit = settings.requests_per_minute
        self._now = now
        self._window = 0
        self._counts: dict[bytes, int] = {}

    def admit(self, request: Request) -> Allowance:
        """Let a request in and count it; what is left stands in its state too, for errors.

        Raises:
            Ending: the service takes nothing new.
            AuthFailed: keys are configured, and the request has none of them.
            RateLimited: its caller has used up this minute.
        """
        self._drain.check()
        allowance = request.state.allowance = self._count(self._caller(request))
        if allowance.remaining < 0:
            request.state.allowance = replace(allowance, remaining=0)
            wait = allowance.reset - int(self._now())
            raise RateLimited(
                f"{self._limit} requests a minute are the limit: try again in {wait} s",
                retry_after=max(1, wait),
            )
        return allowance

    def check_key(self, request: Request) -> None:
        """Let a request in without counting it. Raises AuthFailed."""
        self._caller(request)

    def owner(self, request: Request) -> str:
        """Whose a request's things are: its key's, or everybody's where no keys are set.

        Raises:
            AuthFailed: as `admit`; nothing is counted.
        """
        return self._caller(request).hex() if self._hashes else ""

    def _caller(self, request: Request) -> bytes:
        if not self._hashes:
            return request.client.host.encode() if request.client else b""
        digest = hashlib.sha256(_given_key(request).encode("latin-1")).digest()
        # Every hash is compared, in constant time each, so that time tells nothing.
        if not sum(hmac.compare_digest(digest, known) for known in self._hashes):
            raise AuthFailed(
                "the API key is missing or wrong: send one as X-API-Key, or as "
                "Authorization: Bearer"
            )
        return digest

    def _count(self, caller: bytes) -> Allowance:
        now = int(self._now())
        window, reset = now // _WINDOW_S, (now // _WINDOW_S + 1) * _WINDOW_S
        if not self._limit:
            return Allowance(UNLIMITED, UNLIMITED, reset)
        if window != self._window:
            self._window, self._counts = window, {}
        # One over the limit is as far as anyone counts.
        used = min(self._limit, self._counts.get(caller, 0)) + 1
        self._counts[caller] = used
        return Allowance(self._limit, self._limit - used, reset)


def _given_key(request: Request) -> str:
    """The key as it was sent: headers are read as latin-1, whatever bytes they hold."""
    if key := request.headers.get("x-api-key"):
        return key
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""

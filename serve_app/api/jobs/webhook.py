"""Telling a client's server that its job is finished, signed as Standard Webhooks 1.0 says.

The body is the job's status document. `webhook-signature` is `v1,` and the base64 of HMAC-SHA256
over `{webhook-id}.{webhook-timestamp}.{body}` under the bytes of the secret. The id is the job's,
the same in every attempt, so that a receiver can tell a repetition. https://www.standardwebhooks.com
"""

import asyncio
import base64
import hashlib
import hmac
import logging
import time

from serve_app.api.remote import Remote
from serve_app.errors import MattingError, UrlNotAllowed
from serve_app.settings import JobSettings, webhook_key

logger = logging.getLogger("ray.serve.cvunet")

_DELAYS_S = (0, 5, 30, 120, 600)  # before each attempt


class Webhooks:
    """Posts what became of jobs, where a secret to sign with is set."""

    def __init__(self, settings: JobSettings, remote: Remote) -> None:
        secret = settings.webhook_secret
        self._key = webhook_key(secret) if secret.get_secret_value() else b""
        self._remote = remote

    async def check(self, url: str) -> None:
        """See whether a job's webhook can be told.

        Raises:
            UrlNotAllowed: no secret is set, or it is not a URL of a public host.
            DownloadFailed: its host has no address.
        """
        if not self._key:
            raise UrlNotAllowed(
                "webhooks are switched off here: leave it out and ask GET /v1/jobs/{id}, or set "
                "jobs.webhook_secret"
            )
        await self._remote.check(url)

    async def tell(self, url: str, id: str, body: bytes) -> bool:
        """Post until the server answers 2xx; False where it never did."""
        for delay_s in _DELAYS_S:
            await asyncio.sleep(delay_s)
            try:
                status = await self._remote.post(url, body, self._headers(id, body))
            except MattingError as exc:
                status = exc.status
            if 200 <= status < 300:
                return True
            logger.info("webhook not taken", extra={"job": id, "status": status})
        logger.warning("webhook given up", extra={"job": id})
        return False

    def _headers(self, id: str, body: bytes) -> dict[str, str]:
        timestamp = int(time.time())
        return {
            "Content-Type": "application/json",
            "webhook-id": id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": sign(self._key, id, timestamp, body),
        }


def sign(key: bytes, id: str, timestamp: int, body: bytes) -> str:
    """The signature of a body; `timestamp` in unix seconds."""
    signed = f"{id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()

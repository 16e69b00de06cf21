"""Renewing a lease while something is done."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from serve_app.api.jobs.lease import Lease

logger = logging.getLogger("ray.serve.cvunet")

_BEATS = 4  # in the time after which a lease runs out


@asynccontextmanager
async def kept(lease: Lease, lease_s: float) -> AsyncIterator[None]:
    """Keep a lease alive. Where it is lost, what is done in here is cancelled, and it ends.

    Whether that happened is told by `lease.lost`; anybody else's cancellation goes on outwards.
    """
    doing = asyncio.current_task()
    assert doing is not None  # noqa: S101
    lost = False

    async def beat() -> None:
        nonlocal lost
        while await asyncio.to_thread(_renew, lease):  # noqa: ASYNC110 - a file has no event
            await asyncio.sleep(lease_s / _BEATS)
        lost = True
        doing.cancel()

    beating = asyncio.create_task(beat())
    try:
        yield
    except asyncio.CancelledError:
        if not lost or doing.uncancel():
            raise
        raise LeaseLost from None
    finally:
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)


class LeaseLost(Exception):
    """The job is somebody else's now, or gone."""


def _renew(lease: Lease) -> bool:
    try:
        return lease.renew()
    except OSError:
        logger.warning("a job's lease could not be renewed", exc_info=True)
        return True  # whoever takes over has a higher number, which the next beat sees

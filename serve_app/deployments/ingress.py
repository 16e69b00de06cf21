"""The HTTP stage: chains the other ones, and tries again what a dead replica had."""

import asyncio
import logging
import time
from collections.abc import Awaitable
from typing import Any

from ray import serve
from ray.exceptions import ObjectLostError, RayActorError, RayError, RayTaskError
from ray.serve.exceptions import (
    BackPressureError,
    DeploymentUnavailableError,
    RayServeException,
)
from ray.serve.handle import DeploymentHandle
from starlette.types import ASGIApp

from serve_app.api.app import build_api
from serve_app.api.routes import Presets
from serve_app.deployments.listening import listen_on_node_address
from serve_app.deployments.metrics import RequestMetrics
from serve_app.deployments.shedding import TellsProxy
from serve_app.engines.base import EngineInfo
from serve_app.errors import MattingError, NotReady, Overloaded
from serve_app.options import Options
from serve_app.settings import Settings
from serve_app.timing import Deadline
from serve_app.tracing import TRACE, open_tracer
from serve_app.types import Result, Upload

logger = logging.getLogger("ray.serve.cvunet")

_PROBE_TIMEOUT_S = 2.0
_UNUSUAL_S = 5.0  # over limits.max_wait_s of one machine; later, earlier answers come here too
_RECENT_S = 5.0  # an answer this fresh proves readiness without a probe that would queue behind it


class Ingress:
    """Chains the stages. Pixels pass from stage to stage by reference and never through here."""

    def __init__(
        self,
        settings: Settings,
        presets: Presets,
        preprocess: DeploymentHandle[Any],
        unet: DeploymentHandle[Any],
        postprocess: DeploymentHandle[Any],
    ) -> None:
        listen_on_node_address()
        self._settings = settings
        self._presets = presets
        self._preprocess = preprocess
        self._unet = unet
        self._postprocess = postprocess
        self._metrics = RequestMetrics()
        self._tracer = open_tracer(settings.tracing.endpoint, "Ingress")
        self._answered_at = float("-inf")
        self._info: EngineInfo | None = None

    def __serve_build_asgi_app__(self) -> ASGIApp:
        api = build_api(
            self,
            self._settings,
            self._presets,
            behind_proxy=True,
            observer=self._metrics,
            tracer=self._tracer,
        )
        return TellsProxy(api, serve.get_replica_context().app_name)

    async def matte(self, upload: Upload, options: Options) -> Result:
        deadline = Deadline.after(self._settings.limits.request_timeout_s)
        with self._metrics.at_work(upload), self._tracer.span("matte", TRACE.get()) as trace:
            TRACE.set(trace)
            result = await self._matte_with_retry(upload, options, deadline)
        self._answered_at = time.monotonic()
        self._metrics.done(result)
        return result

    async def describe(self) -> EngineInfo:
        if self._info is not None and time.monotonic() - self._answered_at < _RECENT_S:
            return self._info
        try:
            async with asyncio.timeout(_PROBE_TIMEOUT_S):
                self._info = await self._unet.describe.remote()
        except (TimeoutError, RayActorError, DeploymentUnavailableError, BackPressureError) as exc:
            raise NotReady("no matting replica is ready yet: try again", retry_after=2) from exc
        return self._info

    async def _matte_with_retry(
        self, upload: Upload, options: Options, deadline: Deadline
    ) -> Result:
        """Run the stages; what was in flight on a replica that died is run once more."""
        try:
            return await self._run_stages(upload, options, deadline)
        except ReplicaLost:
            logger.warning("a replica died with work in flight: trying that work once more")
            self._metrics.retried()
        try:
            return await self._run_stages(upload, options, deadline)
        except ReplicaLost as exc:
            raise Overloaded("the service is recovering: try again", retry_after=5) from exc

    async def _run_stages(self, upload: Upload, options: Options, deadline: Deadline) -> Result:
        trace = TRACE.get()
        prepared = self._preprocess.remote(upload, options, deadline, trace)
        prediction = self._unet.remote(prepared, deadline, trace)
        finished = self._postprocess.remote(prepared, prediction, options, deadline, trace)
        try:
            result: Result = await _last_of(prepared, prediction, finished)
        except (asyncio.CancelledError, RayError, RayServeException) as exc:
            # The client has gone, its time is up or a stage failed: nobody waits for the rest.
            for response in (finished, prediction, prepared):
                response.cancel()  # type: ignore[no-untyped-call]
            if isinstance(exc, asyncio.CancelledError):
                raise
            raise _stage_error(exc) from exc
        return result


async def _last_of(*stages: Awaitable[Any]) -> Any:
    """Await the last of chained stages, and the others too where that takes unusually long.

    The last one should fail with whatever an earlier one failed with. But a lost node's replicas
    are "unavailable" until Ray is sure of their death, and Serve's router takes that error, where
    it comes with an argument, for one of the replica that it has sent the argument to: it would
    send it again and again until the request's time is up.
    """
    last = asyncio.ensure_future(_value(stages[-1]))
    try:
        done, _ = await asyncio.wait({last}, timeout=_UNUSUAL_S)
        if not done:
            await asyncio.gather(*map(_value, stages[:-1]), last)
        return await last
    finally:
        last.cancel()


async def _value(response: Awaitable[Any]) -> Any:
    return await response


class ReplicaLost(Exception):
    """A replica died with the work, or a node with what a replica had answered."""


def _stage_error(exc: Exception) -> Exception:
    """Find what a stage failed with: later stages and Serve itself wrap it in their own errors."""
    if isinstance(exc, BackPressureError):
        return Overloaded("every queue is full: try again shortly", retry_after=2)
    seen: BaseException | None = exc
    while seen is not None:
        cause = seen.cause if isinstance(seen, RayTaskError) else seen
        if isinstance(cause, MattingError):
            return cause
        if isinstance(cause, RayActorError | ObjectLostError):
            return ReplicaLost(str(cause))
        seen = seen.__cause__ or seen.__context__
    return exc

"""The CPU stage after the network: alpha to file."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import cv2

from serve_app.deployments.listening import listen_on_node_address
from serve_app.deployments.metrics import StageMetrics
from serve_app.deployments.priority import give_way
from serve_app.imaging.allocator import keep_freed_memory
from serve_app.options import Options
from serve_app.postprocess import finish
from serve_app.settings import Settings
from serve_app.timing import Deadline
from serve_app.tracing import open_tracer
from serve_app.types import Prediction, Prepared, Result


class Postprocess:
    def __init__(self, settings: Settings) -> None:
        listen_on_node_address()
        give_way()
        keep_freed_memory()
        cv2.setNumThreads(1)  # replicas are the parallelism; OpenCV's own would fight over cores
        self._worker = ThreadPoolExecutor(1)
        self._metrics = StageMetrics()
        self._tracer = open_tracer(settings.tracing.endpoint, "Postprocess")

    async def __call__(
        self,
        prepared: Prepared,
        prediction: Prediction,
        options: Options,
        deadline: Deadline,
        trace: str = "",
    ) -> Result:
        loop = asyncio.get_running_loop()
        with self._tracer.span("postprocess", trace) as span:
            result = await loop.run_in_executor(
                self._worker, _finish, prepared, prediction, options, deadline
            )
            self._tracer.stages(span, {name: result.timings[name] for name in ("post", "encode")})
        self._metrics.took(result.timings, "post", "encode")
        return result


def _finish(
    prepared: Prepared, prediction: Prediction, options: Options, deadline: Deadline
) -> Result:
    deadline.check()
    return finish(prepared, prediction, options)

"""The CPU stage before the network: bytes to arrays."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import cv2

from serve_app.deployments.listening import listen_on_node_address
from serve_app.deployments.metrics import StageMetrics
from serve_app.deployments.priority import give_way
from serve_app.imaging.isolated import IsolatedDecoder
from serve_app.imaging.peek import is_sequential_jpeg
from serve_app.options import Options
from serve_app.preprocess import prepare
from serve_app.settings import Settings
from serve_app.timing import Deadline
from serve_app.tracing import open_tracer
from serve_app.types import Prepared, Upload


class Preprocess:
    def __init__(self, settings: Settings) -> None:
        listen_on_node_address()
        give_way()
        cv2.setNumThreads(1)  # replicas are the parallelism; OpenCV's own would fight over cores
        self._limits = settings.limits
        self._bucket_step = settings.batching.bucket_step
        # What cameras write is decoded in one go; any other file may take until its deadline, and
        # usual photos must not wait behind it.
        self._usual, self._other = _Lane(), _Lane()
        self._metrics = StageMetrics()
        self._tracer = open_tracer(settings.tracing.endpoint, "Preprocess")

    async def __call__(
        self, upload: Upload, options: Options, deadline: Deadline, trace: str = ""
    ) -> Prepared:
        lane = self._usual if is_sequential_jpeg(upload.image) else self._other
        loop = asyncio.get_running_loop()
        with self._tracer.span("preprocess", trace) as span:
            prepared = await loop.run_in_executor(
                lane.worker, self._prepare, lane.decoder, upload, options, deadline
            )
            self._tracer.stages(span, prepared.timings)
        self._metrics.prepared(prepared)
        return prepared

    def _prepare(
        self, decoder: IsolatedDecoder, upload: Upload, options: Options, deadline: Deadline
    ) -> Prepared:
        deadline.check()
        return prepare(upload, options, self._limits, self._bucket_step, decoder)


class _Lane:
    """A thread and the process that decodes for it."""

    def __init__(self) -> None:
        self.worker = ThreadPoolExecutor(1)
        self.decoder = IsolatedDecoder()

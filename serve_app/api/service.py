"""What the routes need from whatever does the matting: Ray Serve's replicas or one process."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from serve_app.engines.base import Engine, EngineInfo
from serve_app.options import Options
from serve_app.pipeline import Pipeline
from serve_app.settings import Settings
from serve_app.types import Result, Upload


class Matting(Protocol):
    """The seam between HTTP and the work."""

    async def matte(self, upload: Upload, options: Options) -> Result:
        """Matte one image.

        Raises:
            MattingError: the upload is at fault, or the service is.
        """
        ...

    async def describe(self) -> EngineInfo:
        """Say what answers.

        Raises:
            NotReady: no replica of the network is up.
        """
        ...


class LocalMatting:
    """The pipeline in this process, one image at a time: for tests and as a benchmark's floor."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._info = engine.info
        self._pipeline = Pipeline(engine, settings.limits, settings.batching.bucket_step)
        self._worker = ThreadPoolExecutor(1)

    async def matte(self, upload: Upload, options: Options) -> Result:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._worker, self._pipeline.run, upload, options)

    async def describe(self) -> EngineInfo:
        return self._info

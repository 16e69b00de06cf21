"""The CPU stage before the network: bytes to arrays."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import cv2

from serve_app.options import Options
from serve_app.preprocess import prepare
from serve_app.settings import Settings
from serve_app.types import Prepared, Upload


class Preprocess:
    def __init__(self, settings: Settings) -> None:
        cv2.setNumThreads(1)  # replicas are the parallelism; OpenCV's own would fight over cores
        self._limits = settings.limits
        self._bucket_step = settings.batching.bucket_step
        self._worker = ThreadPoolExecutor(1)

    async def __call__(self, upload: Upload, options: Options) -> Prepared:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._worker, prepare, upload, options, self._limits, self._bucket_step
        )

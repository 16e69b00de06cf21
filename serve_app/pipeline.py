"""The way of an image, top to bottom: upload -> prepare -> predict -> finish -> result.

The Preprocess and Postprocess replicas run the same `prepare` and `finish`, so answers online and
offline are the same to the pixel.
"""

from serve_app.batching import BatchItem, predict_all
from serve_app.engines.base import Engine
from serve_app.imaging.allocator import keep_freed_memory
from serve_app.mattes import mattes
from serve_app.options import Options
from serve_app.postprocess import finish
from serve_app.preprocess import prepare
from serve_app.settings import Limits
from serve_app.types import Array, Prediction, Prepared, Result, Upload


class Pipeline:
    """All stages in one process: the command line, bulk work, benchmarks and most tests."""

    def __init__(self, engine: Engine, limits: Limits, bucket_step: int) -> None:
        keep_freed_memory()
        self._engine = engine
        self._limits = limits
        self._bucket_step = bucket_step

    def run(self, upload: Upload, options: Options) -> Result:
        """Matte one image.

        Raises:
            InputError: the upload or the options are at fault.
        """
        prepared, prediction = self._predict(upload, options)
        return finish(prepared, prediction, options)

    def alpha(self, upload: Upload, options: Options) -> Array:
        """The matte alone, uint8 [H, W] at the answer's size, before cropping and encoding."""
        prepared, prediction = self._predict(upload, options)
        return mattes(prepared, prediction.alpha, options).shaped

    def _predict(self, upload: Upload, options: Options) -> tuple[Prepared, Prediction]:
        prepared = prepare(upload, options, self._limits, self._bucket_step)
        (answer,) = predict_all(self._engine, [BatchItem(prepared.rgb, prepared.trimap)])
        if isinstance(answer, Exception):
            raise answer
        return prepared, answer

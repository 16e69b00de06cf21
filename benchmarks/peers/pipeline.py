"""Our pipeline as the peers' servers hold it: bytes in, PNG out, the default preset."""

from benchmarks.in_process import OneAtATime, options_for
from serve_app.engines import open_engine
from serve_app.pipeline import Pipeline
from serve_app.settings import Settings
from serve_app.types import Upload


class Matter:
    def __init__(self) -> None:
        settings = Settings()
        engine = OneAtATime(open_engine(settings.model))
        self._pipeline = Pipeline(engine, settings.limits, settings.batching.bucket_step)
        self._options = options_for({}, settings)

    def matte(self, data: bytes) -> bytes:
        return self._pipeline.run(Upload(data), self._options).body

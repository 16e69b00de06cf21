"""A network that takes its time and no core."""

import time

from serve_app.engines.base import Engine
from serve_app.types import Array

DELAY_S = 0.1
"""For one image: an assumption, of the order of a small network in fp32 on one core."""


class DelayedEngine:
    """Another engine, as slow as a network."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.info = engine.info
        self.batches = engine.batches

    def predict(self, rgb: Array, trimap: Array) -> Array:
        time.sleep(DELAY_S * len(rgb))
        return self._engine.predict(rgb, trimap)

"""The service with a network that takes its time and no core: what is measured is all around it."""

import time
from typing import Any

from ray.serve import Application

import serve_app.app
from serve_app.deployments.unet import UNet
from serve_app.engines.base import Engine
from serve_app.settings import Settings
from serve_app.types import Array

DELAY_S = 0.1
"""For one image: about what a network of 3 GMAC costs in fp32 on one core."""


class DelayedEngine:
    """Another engine, as slow as a network."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.info = engine.info

    def predict(self, rgb: Array, trimap: Array) -> Array:
        time.sleep(DELAY_S * len(rgb))
        return self._engine.predict(rgb, trimap)


class DelayedUNet(UNet):
    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._engine = DelayedEngine(self._engine)


def build_app(args: dict[str, Any]) -> Application:
    """The application of `serve_app.app` with the network's stage changed."""
    serve_app.app.UNet = DelayedUNet  # type: ignore[misc]
    return serve_app.app.build_app(args)

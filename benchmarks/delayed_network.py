"""The service with a network that only waits: what is measured is all around it."""

from typing import Any

from ray.serve import Application

import serve_app.app
from benchmarks.delayed_engine import DelayedEngine
from serve_app.deployments.unet import UNet
from serve_app.settings import Settings


class DelayedUNet(UNet):
    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._engine = DelayedEngine(self._engine)


def build_app(args: dict[str, Any]) -> Application:
    """The application of `serve_app.app` with the network's stage changed."""
    serve_app.app.UNet = DelayedUNet  # type: ignore[misc]
    return serve_app.app.build_app(args)

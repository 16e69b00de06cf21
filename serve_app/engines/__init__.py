"""Engines by name. Each one's own libraries are imported only when it is opened."""

from serve_app.engines.base import Engine, EngineInfo
from serve_app.settings import ModelSettings, resolve_path

__all__ = ["Engine", "EngineInfo", "open_engine"]


def open_engine(settings: ModelSettings) -> Engine:
    """Load the weights into the engine that the settings ask for.

    Raises:
        CheckpointError: the weights cannot be used.
        EngineError: the engine or the device is not there.
    """
    if settings.engine == "fake":
        from serve_app.engines.fake import FakeEngine

        return FakeEngine()
    from serve_app.engines.torch import TorchEngine

    return TorchEngine(
        resolve_path(settings.model_path), settings.device, settings.precision, settings.threads
    )

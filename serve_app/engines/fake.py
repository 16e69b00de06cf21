"""An engine without a network, for tests of everything around it."""

from serve_app.engines.base import EngineInfo
from serve_app.types import FOREGROUND, Array


class FakeEngine:
    """Takes an image's red channel for its alpha, so that an answer shows whose it is."""

    info = EngineInfo("fake", "0", "0" * 64, "fake", "cpu", "uint8")
    batches: tuple[int, ...] = (1,)

    def predict(self, rgb: Array, trimap: Array) -> Array:
        alpha: Array = rgb[..., 0].copy()
        alpha[trimap == 0] = 0
        alpha[trimap == FOREGROUND] = FOREGROUND
        return alpha

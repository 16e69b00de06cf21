"""What runs the network, seen from outside: bytes in, bytes out, and what it is."""

from dataclasses import dataclass
from typing import Protocol

from serve_app.types import Array


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What answers, as `/v1/models` and the logs name it."""

    name: str  # the checkpoint
    version: str
    sha256: str
    engine: str
    device: str
    precision: str

    @property
    def label(self) -> str:
        """Name, version and engine on one line, for the `X-Model` header."""
        return f"{self.name}/{self.version} ({self.engine}, {self.device}, {self.precision})"


class Engine(Protocol):
    """Holds one set of weights for its whole life. Calls come from one thread at a time."""

    info: EngineInfo

    def predict(self, rgb: Array, trimap: Array) -> Array:
        """Give the alpha of a batch.

        Args:
            rgb: uint8 [N, H, W, 3], sRGB; H and W multiples of 32.
            trimap: uint8 [N, H, W]; 0 background, 255 foreground, else unknown.

        Returns:
            uint8 [N, H, W].

        Raises:
            EngineOutOfMemory: the batch does not fit; a smaller one may.
        """
        ...

"""What runs the network, seen from outside: bytes in, bytes out, and what it is."""

from dataclasses import dataclass
from typing import Protocol

from serve_app.errors import EngineOutOfMemory
from serve_app.types import Array

# How the libraries say it; none but torch on CUDA has an exception class of its own.
_OUT_OF_MEMORY = (
    "can't allocate memory",
    "failed to allocate memory",
    "out of memory",
    "bad_alloc",
    "bad allocation",
)
_LONGEST = 300  # characters of a library's message


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What answers, as `/v1/models` and the logs name it."""

    name: str  # the checkpoint
    version: str
    sha256: str
    engine: str
    device: str
    precision: str
    reason: str = "set"  # why this engine: `set` in the settings, or what `auto` found

    @property
    def label(self) -> str:
        """Name, version and engine on one line, for the `X-Model` header."""
        return f"{self.name}/{self.version} ({self.engine}, {self.device}, {self.precision})"


class Engine(Protocol):
    """Holds one set of weights for its whole life. Calls come from one thread at a time."""

    info: EngineInfo
    batches: tuple[int, ...]
    """Batch sizes whose first run is slow, each for itself; (1,) where one run readies them all."""

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


def one_line(exc: Exception) -> str:
    """A library's message without its line breaks, and not all of a long one."""
    return " ".join(str(exc).split())[:_LONGEST]


def out_of_memory(exc: Exception, rgb: Array, device: str) -> EngineOutOfMemory | None:
    """The error for the client if that is what a library's exception says, else None."""
    if not any(words in str(exc).lower() for words in _OUT_OF_MEMORY):
        return None
    count, height, width = rgb.shape[:3]
    return EngineOutOfMemory(
        f"{count} images of {height}x{width} do not fit into the memory of {device}"
    )

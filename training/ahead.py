"""The next batch is drawn while the current one is trained on."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from training.batches import Batch

Draw = Callable[[float], tuple[Batch, Tensor]]


class Ahead:
    """Draws in a thread of its own and, on a GPU, in a stream of its own: what one of the many
    small steps of a draw waits for is then the draw and not the training.
    """

    def __init__(self, draw: Draw, device: torch.device, done: float) -> None:
        """Begins with the batch for this part of the run, 0-1."""
        self._draw = draw
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._drawer = ThreadPoolExecutor(1)
        self._next = self._drawer.submit(self._drawn, done)

    def take(self, done: float) -> tuple[Batch, Tensor]:
        """The batch that was begun and the generator's state after it; the next one, for `done`,
        is begun. Raises what its draw did.
        """
        batch, state = self._next.result()
        if self._stream is not None:
            current = torch.cuda.current_stream(self._stream.device)
            current.wait_stream(self._stream)
            for tensor in batch.tensors():
                tensor.record_stream(current)  # else its memory could be drawn on too early
        self._next = self._drawer.submit(self._drawn, done)
        return batch, state

    def close(self) -> None:
        self._drawer.shutdown()

    def _drawn(self, done: float) -> tuple[Batch, Tensor]:
        with torch.cuda.stream(self._stream):  # of None: nothing changes
            return self._draw(done)

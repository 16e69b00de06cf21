"""The network from CUDA graphs: one launch a batch in place of one for each of its kernels.

A graph holds the addresses that it reads and writes, so that each shape has buffers of its own on
the GPU. Batches are recorded at powers of two and a smaller one leaves the rest of its buffers as
they are: a bucket then has five graphs up to batches of 16, not sixteen. All graphs share one pool
of memory for what lies between input and output, which is safe because they run one at a time.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

MOST_GRAPHS = 32  # buffers of 50 MB each for 16 images of 1024x576; shapes beyond run without

_WARM_UPS = 2  # what libraries allocate once must not be allocated in the recording

Network = Callable[[Tensor, Tensor], Tensor]
Shape = tuple[int, ...]  # [N, H, W]


@dataclass(frozen=True)
class _Recording:
    """A graph and the buffers on the GPU that it reads and writes."""

    graph: torch.cuda.CUDAGraph
    rgb: Tensor  # uint8 [N, H, W, 3]
    trimap: Tensor  # uint8 [N, H, W]
    alpha: Tensor  # uint8 [N, H, W]


class RecordedNetwork:
    """Calls like `UNetMatting.forward` on a CUDA device: in one thread, under `inference_mode`."""

    def __init__(self, network: Network, device: torch.device) -> None:
        self._network = network
        self._device = device
        self._pool = torch.cuda.graph_pool_handle()
        self._recordings: dict[Shape, _Recording] = {}

    def __call__(self, rgb: Tensor, trimap: Tensor) -> Tensor:
        """Takes tensors of the device; the next call overwrites the answer."""
        shape = (recorded_batch(len(rgb)), *trimap.shape[1:])
        with torch.cuda.device(self._device):
            found = self._recordings.get(shape) or self._record(shape)
            if found is None:
                answer: Tensor = self._network(rgb, trimap)
                return answer
            found.rgb[: len(rgb)].copy_(rgb)
            found.trimap[: len(rgb)].copy_(trimap)
            found.graph.replay()
        return found.alpha[: len(rgb)]

    def _record(self, shape: Shape) -> _Recording | None:
        if len(self._recordings) >= MOST_GRAPHS:
            return None
        rgb = torch.zeros(*shape, 3, dtype=torch.uint8, device=self._device)
        trimap = torch.zeros(shape, dtype=torch.uint8, device=self._device)
        _warm_up(self._network, rgb, trimap)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            alpha = self._network(rgb, trimap)
        self._recordings[shape] = found = _Recording(graph, rgb, trimap, alpha)
        return found


def recorded_batch(images: int) -> int:
    """The batch that so many images run in: the next power of two."""
    return 1 << (images - 1).bit_length()


def _warm_up(network: Network, rgb: Tensor, trimap: Tensor) -> None:
    """Run on a stream other than the default one, as a recording does."""
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(_WARM_UPS):
            network(rgb, trimap)
    torch.cuda.current_stream().wait_stream(stream)

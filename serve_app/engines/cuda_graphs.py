"""The network from CUDA graphs: one launch a batch in place of one for each of its kernels.

A graph holds the addresses that it reads and writes, so that each shape has buffers of its own on
the GPU. Batches are recorded at powers of four, up to the most that there will be, and a smaller
one leaves the rest of its buffers as they are. All graphs share one pool of memory for what lies
between input and output, which is safe because they run one at a time.

Why of four: the first run of a shape takes 1.2 to 3.2 s, since cuDNN makes kernels for it, and a
run that is padded takes little longer. On an H200, in fp16, images of 1024x576 take 0.9 ms at 1,
1.2 at 2, 1.6 at 4, 2.6 at 8 and 4.6 at 16: leaving 2 and 8 out costs a batch of 2 under half a
millisecond and one of 5 to 8 two, and spares every bucket two of its five first runs.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

# Batches of 1, 4 and 16 for each of the 15 buckets in steps of 128 px whose longer side is 1024 px,
# and one to spare: 60 MB of buffers a bucket. Shapes beyond run without.
MOST_GRAPHS = 48

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

    def __init__(self, network: Network, device: torch.device, max_batch_size: int = 1) -> None:
        """Batches of more than `max_batch_size` images are recorded as they come."""
        self._network = network
        self._device = device
        self._most = max_batch_size
        self._pool = torch.cuda.graph_pool_handle()
        self._recordings: dict[Shape, _Recording] = {}

    def __call__(self, rgb: Tensor, trimap: Tensor) -> Tensor:
        """Takes tensors of the device; the next call overwrites the answer."""
        shape = (recorded_batch(len(rgb), self._most), *trimap.shape[1:])
        with torch.cuda.device(self._device):
            found = self._recordings.get(shape) or self._record(shape)
            if found is None:
                return self._network(filled(rgb, shape[0]), filled(trimap, shape[0]))[: len(rgb)]
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


def recorded_batch(images: int, most: int) -> int:
    """The batch that so many images run in: the next power of four, or `most` where that is less;
    more than `most` run as they are.
    """
    twos = (images - 1).bit_length()
    return max(images, min(1 << (twos + twos % 2), most))


def recorded_batches(most: int) -> tuple[int, ...]:
    """Every batch that 1 to `most` images run in."""
    return tuple(sorted({recorded_batch(images, most) for images in range(1, most + 1)}))


def filled(batch: Tensor, images: int) -> Tensor:
    """The batch [N, ...] and as many zeros after it as make it [images, ...]."""
    rest = images - len(batch)
    return F.pad(batch, (*(0, 0) * (batch.dim() - 1), 0, rest)) if rest else batch


def _warm_up(network: Network, rgb: Tensor, trimap: Tensor) -> None:
    """Run on a stream other than the default one, as a recording does."""
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(_WARM_UPS):
            network(rgb, trimap)
    torch.cuda.current_stream().wait_stream(stream)

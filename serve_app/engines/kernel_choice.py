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

_REMEDY = (
    "they need the package triton (PyTorch for CUDA brings it), a C compiler and Python's headers "
    "(apt-get install gcc python3-dev)"
)

Network = Callable[[Tensor, Tensor], Tensor]


def choose_kernels(
    wanted: str, model: UNetMatting, device: torch.device, precision: str, compile: bool
) -> tuple[Network | None, str]:
    """Compile our own kernels, which takes half a minute when it is the first time on a machine.

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
        problem = f"{type(exc).__name__}: {one_line(exc)}"
        if wanted == "triton":
            raise EngineError(
                f"model.kernels: triton cannot be: {problem}: {_REMEDY}; or set model.kernels: auto"
            ) from exc
        logger.warning(
            "the network runs on PyTorch's kernels, which are slower than ours, and take seconds "
            "for the first run of a shape: ours do not compile (%s): %s; or set model.kernels: "
            "torch, and this is not said again",
            problem,
            _REMEDY,
        )
        return None, f"kernels: torch (triton's do not compile: {problem})"


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
    with torch.inference_mode():
        for size in sizes_for_all_kernels(model.config.context_side):
            trimap = torch.zeros(1, *size, dtype=torch.uint8, device=device)
            network(trimap[..., None].expand(1, *size, 3).contiguous(), trimap)
    torch.cuda.synchronize(device)
    return network


def sizes_for_all_kernels(side: int) -> tuple[tuple[int, int], ...]:
    """Images that between them run every kernel: the view of the second takes resizing."""
    return (STRIDE, STRIDE), (STRIDE, side + STRIDE)

"""PyTorch, on a CPU or an NVIDIA GPU."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch._dynamo import config as dynamo_config

from serve_app.engines.base import EngineInfo, out_of_memory
from serve_app.engines.cuda_graphs import RecordedNetwork, recorded_batches
from serve_app.engines.kernel_choice import choose_kernels
from serve_app.engines.rules import check_rules
from serve_app.errors import EngineError
from serve_app.models.checkpoint import load_checkpoint
from serve_app.models.folding import fold_batch_norms
from serve_app.types import Array


class TorchEngine:
    """Runs `UNetMatting`, channels last; eagerly, or compiled for each batch size and bucket. On a
    GPU it runs on kernels of our own, in fp16, and is replayed from CUDA graphs.
    """

    def __init__(
        self,
        model_path: Path,
        device: str = "auto",
        precision: str = "auto",
        threads: int = 0,
        compile: bool = False,
        cuda_graphs: bool = True,
        max_batch_size: int = 1,
        reason: str = "set",
        kernels: str = "auto",
    ) -> None:
        """Load a checkpoint. CUDA graphs pad batches of up to `max_batch_size` to a few sizes.
        `kernels` are those of `choose_kernels`.

        Raises:
            CheckpointError: the weights cannot be used.
            EngineError: the device is not there, or cannot do the precision or the kernels.
        """
        self._device = find_device(device)
        precision = _find_precision(precision, self._device)
        torch.set_num_threads(threads or len(os.sched_getaffinity(0)))
        model, checkpoint = load_checkpoint(model_path)
        fold_batch_norms(model)
        model = model.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        own, said = choose_kernels(kernels, model, self._device, precision, compile)
        if precision == "fp16":
            model = model.half()
        self._model: Callable[[Tensor, Tensor], Tensor]
        self._model = own or (_compiled(model) if compile else model)
        self.batches: tuple[int, ...] = (1,)
        if cuda_graphs and self._device.type == "cuda":
            self._model = RecordedNetwork(self._model, self._device, max_batch_size)
            self.batches = recorded_batches(max_batch_size)
        self.info = EngineInfo(
            checkpoint.name,
            checkpoint.version,
            checkpoint.sha256,
            engine="torch",
            device=str(self._device),
            precision=precision,
            reason=f"{reason}; {said}" if said else reason,
        )

    def predict(self, rgb: Array, trimap: Array) -> Array:
        try:
            with torch.inference_mode():
                alpha = self._model(self._to_device(rgb), self._to_device(trimap))
                result: Array = self._to_host(alpha).numpy()
        except RuntimeError as exc:
            # The CPU allocator has no exception class of its own.
            if error := out_of_memory(exc, rgb, str(self._device)):
                if isinstance(exc, torch.OutOfMemoryError):
                    torch.cuda.empty_cache()
                raise error from exc
            raise
        return result

    def _to_device(self, array: Array) -> torch.Tensor:
        # Arrays from shared memory are read-only, which torch.from_numpy warns about.
        tensor = torch.from_numpy(np.require(array, requirements=["C", "W"]))
        if self._device.type != "cuda":
            return tensor
        # The GPU itself fetches from pinned memory; from other memory the driver copies it there
        # first, piece by piece.
        return tensor.pin_memory().to(self._device, non_blocking=True)

    def _to_host(self, alpha: Tensor) -> Tensor:
        if alpha.device.type != "cuda":
            return alpha
        answer = torch.empty(alpha.shape, dtype=alpha.dtype, pin_memory=True)
        answer.copy_(alpha, non_blocking=True)
        torch.cuda.current_stream(self._device).synchronize()
        return answer


def find_device(name: str) -> torch.device:
    """Turn `auto`, `cpu`, `cuda` or `cuda:N` into a device that is there.

    Raises:
        EngineError: it is not.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise EngineError(
            f"device: {name} is not there ({torch.cuda.device_count()} CUDA devices are visible to "
            f"torch {torch.__version__}): set device: auto or cpu, give the replica num_gpus, or "
            "install the CUDA build of torch"
        )
    return device


def _compiled(model: nn.Module) -> nn.Module:
    # Each shape is compiled by itself; past its limit torch would go on eagerly without a word.
    dynamo_config.recompile_limit = 1024
    return cast(nn.Module, torch.compile(model, dynamic=False))


def _find_precision(name: str, device: torch.device) -> str:
    if name == "auto":
        return "fp16" if device.type == "cuda" else "fp32"
    check_rules("torch", str(device), name)
    return name

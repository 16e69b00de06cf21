"""ONNX Runtime, on a CPU or an NVIDIA GPU."""

import os
from types import ModuleType
from typing import Any

import numpy as np

from serve_app.engines.availability import need
from serve_app.engines.base import EngineInfo, one_line, out_of_memory
from serve_app.engines.graph import Graph
from serve_app.engines.rules import check_rules
from serve_app.errors import EngineError
from serve_app.types import Array


class OnnxEngine:
    """Runs the graph of our network; any batch and any legal size in one session."""

    def __init__(
        self, graph: Graph, device: str = "auto", threads: int = 0, reason: str = "set"
    ) -> None:
        """Open a session.

        Raises:
            EngineError: ONNX Runtime is missing, or it cannot run on the device.
        """
        self._session, device = open_session(graph.content, device, threads)
        check_rules("onnx", device, graph.precision)
        self.batches: tuple[int, ...] = (1,)
        self.info = EngineInfo(
            graph.name,
            graph.version,
            graph.sha256,
            engine="onnx",
            device=device,
            precision=graph.precision,
            reason=reason,
        )

    def predict(self, rgb: Array, trimap: Array) -> Array:
        feeds = {"rgb": np.ascontiguousarray(rgb), "trimap": np.ascontiguousarray(trimap)}
        return np.asarray(run(self._session, feeds, rgb, self.info.device)[0], np.uint8)


def open_session(content: bytes, device: str, threads: int) -> tuple[Any, str]:
    """Open a session for an ONNX file on `auto`, `cpu`, `cuda` or `cuda:N`.

    Returns:
        The session, and the device that it runs on.

    Raises:
        EngineError: ONNX Runtime or the device is missing, or it cannot read the file.
    """
    runtime = need("onnxruntime", "onnx")
    has_cuda = "CUDAExecutionProvider" in runtime.get_available_providers()
    if device == "auto":
        device = "cuda" if has_cuda else "cpu"
    if device != "cpu" and not has_cuda:
        raise _no_cuda(device, runtime)
    providers: list[Any] = ["CPUExecutionProvider"]
    if device != "cpu":
        index = device.partition(":")[2] or "0"
        providers.insert(0, ("CUDAExecutionProvider", {"device_id": index}))
    try:
        session = runtime.InferenceSession(content, _options(runtime, threads), providers)
    except Exception as exc:  # its error classes are private to a compiled module
        raise EngineError(
            f"engine: onnx (onnxruntime {runtime.__version__}) cannot run this network: copy or "
            f"export its file again ({one_line(exc)})"
        ) from exc
    # It takes the CPU with a mere warning where CUDA's libraries do not load.
    if device != "cpu" and "CUDAExecutionProvider" not in session.get_providers():
        raise _no_cuda(device, runtime)
    return session, device


def run(session: Any, feeds: dict[str, Any], rgb: Array, device: str) -> list[Any]:
    """Run a session on what was made of `rgb`.

    Raises:
        EngineOutOfMemory: it does not fit.
    """
    try:
        return list(session.run(None, feeds))
    except Exception as exc:
        if error := out_of_memory(exc, rgb, device):
            raise error from exc
        raise


def _options(runtime: ModuleType, threads: int) -> Any:
    options = runtime.SessionOptions()
    options.log_severity_level = 3  # errors
    options.intra_op_num_threads = threads or len(os.sched_getaffinity(0))
    # Its idle threads would spin on the cores that decode and encode.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _no_cuda(device: str, runtime: ModuleType) -> EngineError:
    return EngineError(
        f"device: {device} is not there for engine: onnx (onnxruntime {runtime.__version__} has "
        f"{', '.join(runtime.get_available_providers())}): pip install onnxruntime-gpu in place "
        "of onnxruntime, or set device: cpu"
    )

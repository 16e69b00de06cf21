"""Engines by name. Each one's own libraries are imported only when it is opened."""

import logging
from pathlib import Path

from serve_app.engines.availability import (
    choose_engine,
    has_int8_dot_products,
    is_installed,
    need,
)
from serve_app.engines.base import Engine, EngineInfo
from serve_app.engines.graph import is_external, load_graph, quantised_path
from serve_app.engines.rules import check_rules
from serve_app.models.integrity import check_file
from serve_app.settings import ModelSettings, resolve_path

__all__ = ["Engine", "EngineInfo", "check_anywhere", "open_engine"]

logger = logging.getLogger("ray.serve.cvunet")


def open_engine(settings: ModelSettings, max_batch_size: int = 1) -> Engine:
    """Load the weights into the engine that the settings ask for, for batches of up to so many.

    Raises:
        CheckpointError: the weights cannot be used.
        EngineError: the engine or the device is not there.
    """
    path = resolve_path(settings.model_path)
    name: str = settings.engine
    reason = "set"
    external = name in ("auto", "onnx") and is_external(path)
    if name == "auto":
        name, reason = choose_engine(path, settings.device, settings.precision, external)
        logger.info("engine %s, %s", name, reason)
    if name == "fake":
        from serve_app.engines.fake import FakeEngine

        return FakeEngine()
    if name == "torch":
        need("torch", "torch")
        from serve_app.engines.torch import TorchEngine

        return TorchEngine(
            path,
            settings.device,
            settings.precision,
            settings.threads,
            settings.compile,
            settings.cuda_graphs,
            max_batch_size,
            reason,
            settings.kernels,
        )
    if external:
        from serve_app.engines.external import ExternalEngine

        return ExternalEngine(path, settings.onnx, settings.device, settings.threads, reason)
    return _open_graph(name, path, settings, reason)


def check_anywhere(settings: ModelSettings) -> None:
    """Say what keeps the network from opening on any machine, at next to no cost: settings that
    exclude each other, a file that is here and is bad.

    What is missing here, be it a file, a device or a package, may be there where the network will
    run.

    Raises:
        CheckpointError: the weights cannot be used.
        EngineError: the settings exclude each other, or the graph cannot be used.
    """
    check_rules(settings.engine, settings.device, settings.precision)
    path = resolve_path(settings.model_path)
    if settings.engine == "fake" or not path.is_file():
        return
    check_file(path)
    if is_external(path):
        return
    name: str = settings.engine
    if name == "auto":
        name = choose_engine(path, settings.device, settings.precision)[0]
    if name == "torch" or not is_installed(name):
        return
    precision = _precision(name, path, settings)
    if path.suffix == ".onnx" or (precision == "int8" and quantised_path(path).is_file()):
        load_graph(path, precision, resolve_path(settings.cache_path))


def _open_graph(name: str, path: Path, settings: ModelSettings, reason: str) -> Engine:
    """Open an engine that runs the network's ONNX graph."""
    need({"onnx": "onnxruntime"}.get(name, name), name)
    cache_path = resolve_path(settings.cache_path)
    precision = _precision(name, path, settings)
    graph = load_graph(path, precision, cache_path)
    if name == "openvino":
        from serve_app.engines.openvino import OpenVinoEngine

        return OpenVinoEngine(graph, settings.device, settings.threads, reason, cache_path)
    if name == "onnx":
        from serve_app.engines.onnx import OnnxEngine

        return OnnxEngine(graph, settings.device, settings.threads, reason)
    from serve_app.engines.tensorrt import TensorRtEngine

    return TensorRtEngine(graph, settings.device, cache_path, reason)


def _precision(name: str, path: Path, settings: ModelSettings) -> str:
    """What is asked for, or the fastest that costs next to nothing in quality; of an ONNX file it
    is the file's own.
    """
    if settings.precision != "auto" or path.suffix == ".onnx":
        return settings.precision
    if _on_gpu(name, settings.device):
        return "fp16"
    if name == "openvino" and quantised_path(path).is_file() and has_int8_dot_products():
        return "int8"
    return "fp32"


def _on_gpu(name: str, device: str) -> bool:
    if name == "tensorrt" or device.startswith("cuda"):
        return True
    if name != "onnx" or device == "cpu":
        return False
    return "CUDAExecutionProvider" in need("onnxruntime", "onnx").get_available_providers()

"""Engines by name. Each one's own libraries are imported only when it is opened."""

import logging
from pathlib import Path

from serve_app.engines.availability import choose_engine, has_int8_dot_products, need
from serve_app.engines.base import Engine, EngineInfo
from serve_app.engines.graph import is_external, load_graph, quantised_path
from serve_app.settings import ModelSettings, resolve_path

__all__ = ["Engine", "EngineInfo", "open_engine"]

logger = logging.getLogger("ray.serve.cvunet")


def open_engine(settings: ModelSettings) -> Engine:
    """Load the weights into the engine that the settings ask for.

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
            reason,
        )
    if external:
        from serve_app.engines.external import ExternalEngine

        return ExternalEngine(path, settings.onnx, settings.device, settings.threads, reason)
    return _open_graph(name, path, settings, reason)


def _open_graph(name: str, path: Path, settings: ModelSettings, reason: str) -> Engine:
    """Open an engine that runs the network's ONNX graph."""
    need({"onnx": "onnxruntime"}.get(name, name), name)
    cache_path = resolve_path(settings.cache_path)
    precision: str = settings.precision
    if precision == "auto" and path.suffix != ".onnx":
        precision = _best_precision(name, path, settings.device)
    graph = load_graph(path, precision, cache_path)
    if name == "openvino":
        from serve_app.engines.openvino import OpenVinoEngine

        return OpenVinoEngine(graph, settings.device, settings.threads, reason, cache_path)
    if name == "onnx":
        from serve_app.engines.onnx import OnnxEngine

        return OnnxEngine(graph, settings.device, settings.threads, reason)
    from serve_app.engines.tensorrt import TensorRtEngine

    return TensorRtEngine(graph, settings.device, cache_path, reason)


def _best_precision(name: str, path: Path, device: str) -> str:
    """The fastest precision of a checkpoint that costs next to nothing in quality."""
    if _on_gpu(name, device):
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

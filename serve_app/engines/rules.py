"""Settings of an engine that exclude each other, whatever is installed and wherever it runs."""

from serve_app.errors import EngineError

_NO_INT8 = {
    "torch": "",
    "tensorrt": " (it takes no asymmetric activations, which the quantised file has)",
}


def check_rules(engine: str, device: str, precision: str) -> None:
    """Refuse what no machine can do.

    Args:
        engine: by name, or `auto`.
        device: as in the settings, or what `auto` came to.
        precision: as in the settings, or what `auto` came to.

    Raises:
        EngineError: two of them exclude each other.
    """
    gpu = device.startswith("cuda")
    if engine == "openvino" and gpu:
        raise EngineError(
            f"device: {device} is not for engine: openvino, which runs on the CPU: set device: "
            "cpu, or engine: auto"
        )
    if engine == "tensorrt" and device == "cpu":
        raise EngineError(
            "device: cpu is not for engine: tensorrt, which runs on an NVIDIA GPU: set device: "
            "cuda, or engine: auto"
        )
    if precision == "int8" and engine in _NO_INT8:
        raise EngineError(
            f"precision: int8 is not for engine: {engine}{_NO_INT8[engine]}: set engine: openvino "
            "or onnx, or precision: auto"
        )
    if precision == "int8" and engine == "auto" and gpu:
        raise EngineError(
            f"precision: int8 is for CPUs and device: {device} is none: set precision: fp16, or "
            "device: cpu"
        )
    if precision == "fp16" and (device == "cpu" or engine == "openvino"):
        raise EngineError(
            "precision: fp16 needs a GPU (half precision is slower than fp32 on a CPU): set "
            "precision: auto or fp32"
        )

"""Which engines can run here, and which of them is taken when nobody says."""

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from serve_app.errors import EngineError

# What `pip install 'cvunet-serve[...]'` brings for each engine. onnx and onnxscript make the graph.
_MODULES = {
    "torch": ("torch",),
    "openvino": ("openvino", "onnx", "onnxscript"),
    "onnx": ("onnxruntime", "onnx", "onnxscript"),
    "tensorrt": ("tensorrt", "onnx", "onnxscript"),
}
_CPUINFO = Path("/proc/cpuinfo")
_FLAGS = ("flags", "Features")  # x86, Arm
# Intel and AMD, the same without AVX-512, Arm.
_DOT_PRODUCTS = {"avx512_vnni", "avx_vnni", "asimddp"}

# NVIDIA's, its boards' with memory shared with the CPU, AMD's, and Windows' for Linux within it.
_GPU_DEVICES = [Path("/dev", name) for name in ("nvidiactl", "nvmap", "kfd", "dxg")]

# Fastest first, as measured on the network of this package.
_ON_GPU = ("tensorrt", "torch")
_ON_CPU = ("openvino", "onnx", "torch")


def choose_engine(
    path: Path, device: str, precision: str, external: bool = False
) -> tuple[str, str]:
    """Take the fastest engine that is installed and does what is asked.

    Args:
        path: the checkpoint, or an ONNX file.
        device: as in the settings.
        precision: as in the settings.
        external: the file is another author's network.

    Returns:
        Its name, and why it is that one.

    Raises:
        EngineError: none does.
    """
    gpu = device.startswith("cuda") or (device == "auto" and _has_gpu())
    order = _ON_GPU if gpu else _ON_CPU
    able = ["onnx"] if external else [n for n in order if _does(n, path, precision)]
    if not able:
        raise EngineError(
            f"no engine runs '{path.name}' in precision {precision} on a GPU: set precision: fp16, "
            "or device: cpu"
        )
    there = [name for name in able if is_installed(name)]
    if not there:
        raise EngineError(
            f"engine: auto finds nothing installed that runs '{path.name}' in precision "
            f"{precision} on {'a GPU' if gpu else 'a CPU'}: install one of "
            + ", ".join(f"cvunet-serve[{name}]" for name in able)
        )
    place = "GPU" if gpu else "CPU"
    passed = able[: able.index(there[0])]
    reason = f"auto: the fastest installed for a {place}"
    if passed:
        reason += f" ({', '.join(passed)} not installed)"
    return there[0], reason


def is_installed(engine: str) -> bool:
    """Whether everything an engine imports can be found; nothing is imported."""
    return all(importlib.util.find_spec(module) is not None for module in _MODULES[engine])


def need(module: str, extra: str, wanted: str = "") -> ModuleType:
    """Import a module of an engine that was asked for.

    Args:
        module: its name.
        extra: which of this package's extras brings it.
        wanted: what needs it, for the message; an engine of the extra's name if not given.

    Raises:
        EngineError: it is not installed, or does not load.
    """
    # OpenVINO and NNCF report their import and use to a server of their makers, unless the package
    # that does it cannot be imported; then they go on without.
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    try:
        return importlib.import_module(module)
    except ImportError as exc:
        raise EngineError(
            f"{wanted or f'engine: {extra}'} needs the Python package {module}, which cannot be "
            f"imported ({exc}): pip install 'cvunet-serve[{extra}]'"
            + ("" if wanted else ", or set engine: auto")
        ) from exc


def has_int8_dot_products() -> bool:
    """Whether this CPU multiplies and adds bytes in one instruction; without it int8 gains little
    and loses precision.
    """
    return not _DOT_PRODUCTS.isdisjoint(cpu_flags())


def cpu_flags() -> list[str]:
    """What the CPU says that it can do, sorted; nothing where it is not Linux that is asked."""
    try:
        text = _CPUINFO.read_text("utf-8")
    except OSError:
        return []
    lines = (line.partition(":") for line in text.splitlines())
    return sorted({f for key, _, value in lines if key.strip() in _FLAGS for f in value.split()})


def _does(engine: str, path: Path, precision: str) -> bool:
    if engine == "torch":
        return path.suffix != ".onnx" and precision != "int8"
    return engine != "tensorrt" or precision != "int8"


def _has_gpu() -> bool:
    # Torch takes seconds and memory to import; where no driver has its device, the answer is known.
    if sys.platform == "linux" and not any(path.exists() for path in _GPU_DEVICES):
        return False
    torch = need("torch", "torch")
    return bool(torch.cuda.is_available())

"""Which engine `auto` takes, and what is said of one that is missing."""

import importlib
import importlib.util
import os
import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from serve_app import engines
from serve_app.engines import availability, open_engine
from serve_app.engines.availability import choose_engine, need
from serve_app.engines.graph import Graph, quantised_path, stamped, write_graph
from serve_app.engines.torch import TorchEngine
from serve_app.errors import EngineError
from serve_app.settings import ROOT, ModelSettings

WEIGHTS, FILE = Path("a.safetensors"), Path("a.onnx")


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Packages that cannot be found, on top of those that are not installed."""
    hidden: list[str] = []
    found = importlib.util.find_spec

    def find_spec(name: str) -> ModuleSpec | None:
        return None if name in hidden else found(name)

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    return hidden


def test_the_fastest_on_a_cpu(without: list[str]) -> None:
    assert choose_engine(WEIGHTS, "cpu", "auto") == (
        "openvino",
        "auto: the fastest installed for a CPU",
    )
    without.append("openvino")
    name, reason = choose_engine(WEIGHTS, "cpu", "auto")
    assert (name, "openvino not installed" in reason) == ("onnx", True)
    without.append("onnxruntime")
    assert choose_engine(WEIGHTS, "cpu", "auto")[0] == "torch"


def test_the_fastest_on_a_gpu(without: list[str]) -> None:
    without.append("tensorrt")
    assert choose_engine(WEIGHTS, "cuda", "auto")[0] == "torch"


def test_torch_is_not_asked_for_a_gpu_without_a_driver(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[str] = []

    def note(module: str, extra: str) -> object:
        asked.append(module)
        return importlib.import_module(module)

    monkeypatch.setattr(availability, "need", note)
    monkeypatch.setattr(availability, "_GPU_DEVICES", [tmp_path / "nvidiactl"])
    choose_engine(WEIGHTS, "auto", "auto")
    assert asked == []
    (tmp_path / "nvidiactl").touch()
    choose_engine(WEIGHTS, "auto", "auto")
    assert asked == ["torch"]


def test_what_torch_cannot_do_is_not_left_to_it(without: list[str]) -> None:
    without += ["openvino", "onnxruntime"]
    for path, precision in ((WEIGHTS, "int8"), (FILE, "auto")):
        with pytest.raises(EngineError, match=r"install one of cvunet-serve\[openvino\]"):
            choose_engine(path, "cpu", precision)


@pytest.mark.parametrize(
    ("flags", "precision"),
    [("fpu avx512_vnni", "int8"), ("fpu avx2", "fp32"), ("fp asimddp", "int8"), ("", "fp32")],
)
def test_int8_where_the_cpu_has_instructions_for_it(
    checkpoint: Path,
    graph: Graph,
    cache: Path,
    flags: str,
    precision: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path, cpuinfo = tmp_path / checkpoint.name, tmp_path / "cpuinfo"  # its graph is in `cache`
    path.write_bytes(checkpoint.read_bytes())
    cpuinfo.write_text(f"processor : 0\nflags : {flags}\n")
    monkeypatch.setattr(availability, "_CPUINFO", cpuinfo)
    settings = ModelSettings(model_path=path, engine="openvino", cache_path=cache)
    assert open_engine(settings).info.precision == "fp32"  # there is no other file yet
    quantised = stamped(
        graph.content, name="small", version="3", sha256=graph.sha256, precision="int8"
    )
    write_graph(quantised, quantised_path(path))
    assert open_engine(settings).info.precision == precision


def test_a_quantised_file_of_other_weights_is_no_silent_fp32(
    checkpoint: Path, graph: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "has_int8_dot_products", lambda: True)
    path = tmp_path / "weights.safetensors"
    path.write_bytes(checkpoint.read_bytes())
    other = stamped(graph.content, name="other", version="3", sha256="0" * 64, precision="int8")
    write_graph(other, quantised_path(path))
    with pytest.raises(EngineError, match=r"made from other weights.*set precision: fp32"):
        open_engine(ModelSettings(model_path=path, engine="openvino"))


def test_without_extras_auto_is_torch(checkpoint: Path, without: list[str]) -> None:
    without += ["openvino", "onnxruntime"]
    engine = open_engine(ModelSettings(model_path=checkpoint, device="cpu"))
    assert isinstance(engine, TorchEngine)
    assert "openvino, onnx not installed" in engine.info.reason


@pytest.mark.parametrize("engine", ["openvino", "onnx", "tensorrt"])
def test_a_missing_engine_is_refused_by_name(
    engine: str, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = {"onnx": "onnxruntime"}.get(engine, engine)
    monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    settings = ModelSettings.model_validate({"model_path": checkpoint, "engine": engine})
    with pytest.raises(EngineError, match=rf"needs .* {package}.*cvunet-serve\[{engine}\]"):
        open_engine(settings)


def test_need_gives_the_module() -> None:
    assert need("json", "torch").loads("1") == 1


@pytest.mark.parametrize("module", ["openvino", "nncf"])
def test_an_engines_library_reports_to_nobody(module: str, tmp_path: Path) -> None:
    code = (
        "import socket, sys; from serve_app.engines.availability import need\n"
        "socket.getaddrinfo = lambda *names, **_: print('looked up', names[0])\n"
        f"need('{module}', 'openvino')"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={**os.environ, "HOME": str(tmp_path)},
    )
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []  # an id for this machine would be left here


def test_importing_engines_loads_no_library() -> None:
    absent = ["torch", "onnx", "onnxruntime", "openvino", "nncf", "tensorrt"]
    code = (
        "import sys, serve_app.engines, serve_app.cli;"
        f"print([m for m in {absent} if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("precision", ["auto", "fp32"])
def test_a_graph_that_is_there_is_opened_without_torch(precision: str) -> None:
    """A replica on a CPU is up seconds sooner for it."""
    settings = ModelSettings(engine="openvino", precision=precision)
    open_engine(settings)  # makes the graph where there is none yet
    code = (
        "import sys; from serve_app.engines import open_engine; "
        "from serve_app.settings import ModelSettings; "
        f"open_engine(ModelSettings(engine='auto', device='cpu', precision={precision!r})); "
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"

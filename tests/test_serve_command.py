"""`cvunet serve` says what is wrong before it starts anything."""

import hashlib
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import onnx.parser
import pytest
import yaml

from serve_app.commands.opening import check_opening
from serve_app.engines import open_engine
from serve_app.engines.availability import is_installed
from serve_app.engines.graph import Graph, quantised_path, read_graph, stamped
from serve_app.errors import EngineError
from serve_app.settings import ROOT, ModelSettings
from tests.engines.test_rules import WORDS, write_quantised


def serve(config: Path) -> "subprocess.CompletedProcess[str]":
    command = [Path(sys.executable).with_name("cvunet"), "serve", config]
    return subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=120, cwd=ROOT
    )


def changed(tmp_path: Path, **model: object) -> Path:
    config = yaml.safe_load((ROOT / "serve_config.yaml").read_text("utf-8"))
    config["applications"][0]["args"]["model"] |= model
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config), "utf-8")
    return path


def test_a_missing_checkpoint(tmp_path: Path) -> None:
    done = serve(changed(tmp_path, model_path=str(tmp_path / "none.safetensors")))
    assert done.returncode == 2
    assert f"'{tmp_path}/none.safetensors' is not a file: set model_path" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_corrupt_checkpoint(tmp_path: Path) -> None:
    data = (ROOT / "pretrained" / "cvunet_matting.safetensors").read_bytes()
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(data[: len(data) // 2])
    done = serve(changed(tmp_path, model_path=str(broken)))
    assert done.returncode == 2
    assert "broken.safetensors' cannot be read" in done.stderr


@pytest.mark.parametrize(("key", "words"), [("modle_path", "did you mean"), ("device", "device")])
def test_bad_settings(tmp_path: Path, key: str, words: str) -> None:
    done = serve(changed(tmp_path, **{key: "tpu"}))
    assert done.returncode == 2
    assert words in done.stderr


@pytest.mark.parametrize(
    "text",
    [
        *("[1, 2]", "a: [", "", "limits: {max_bytes: 1}", "applications: []", "applications: [5]"),
        *("applications: all", "applications: [{import_path: a:b, args: [1]}]"),
        "applications: [{import_path: a:b, deployments: [{name: a, autoscaling_config: 5}]}]",
        "applications: [{import_path: a:b}]\nhttp_options: {port: eight}",
    ],
)
def test_a_file_that_is_no_config(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    done = serve(path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert str(path) in done.stderr


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    path = changed(tmp_path, engine="fake")
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        config = yaml.safe_load(path.read_text("utf-8"))
        config["http_options"]["port"] = port
        path.write_text(yaml.safe_dump(config), "utf-8")
        done = serve(path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"port {port} of 127.0.0.1 cannot be listened on (Address already in" in done.stderr


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ({"engine": "torch", "device": "cuda:63"}, "device: cuda:63 is not there .* set device:"),
        ({"engine": "onnx", "device": "cuda"}, "device: cuda is not there for engine: onnx .*pip"),
        ({"engine": "openvino", "device": "cuda"}, "device: cuda is not for engine: openvino"),
        ({"engine": "torch", "precision": "int8"}, "int8 is not for engine: torch: set engine"),
    ],
)
def test_a_device_that_is_not_there(tmp_path: Path, model: dict[str, str], words: str) -> None:
    done = serve(changed(tmp_path, **model))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert re.search(words, done.stderr)


@pytest.mark.skipif(is_installed("tensorrt"), reason="TensorRT is installed")
def test_an_engine_that_is_not_installed(tmp_path: Path) -> None:
    done = serve(changed(tmp_path, engine="tensorrt"))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "pip install 'cvunet-serve[tensorrt]', or set engine: auto" in done.stderr


@pytest.mark.parametrize("damage", ["missing", "bytes", "format", "weights"])
def test_a_graph_that_cannot_be_used(tmp_path: Path, damage: str) -> None:
    weights = tmp_path / "weights.safetensors"
    shutil.copy(ROOT / "pretrained" / "cvunet_matting.safetensors", weights)
    if damage != "missing":
        graph = read_graph(ROOT / "pretrained" / "cvunet_matting.int8.onnx")
        write_quantised(quantised_path(weights), graph, damage)
    done = serve(changed(tmp_path, model_path=str(weights), engine="openvino", precision="int8"))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    words = {**WORDS, "missing": "which is not there: run cvunet export"}[damage]
    assert re.search(words, done.stderr)


@pytest.mark.parametrize("engine", ["openvino", "onnx"])
def test_a_graph_that_the_engine_does_not_take(tmp_path: Path, engine: str) -> None:
    path = tmp_path / "odd.onnx"
    path.write_bytes(odd_graph().content)
    done = serve(changed(tmp_path, model_path=str(path), engine=engine))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert re.search(rf"engine: {engine} \(.*\) cannot run .* again", done.stderr)


def test_a_compiled_graph_that_cannot_be_taken_back(tmp_path: Path) -> None:
    """Whole, under the right name, and of a library that is not the one it says."""
    path = ROOT / "pretrained" / "cvunet_matting.int8.onnx"
    settings = {"model_path": path, "engine": "openvino", "cache_path": tmp_path}
    open_engine(ModelSettings.model_validate(settings))
    (kept,) = tmp_path.glob("*.openvino")
    content = b"of another version"
    kept.write_bytes(hashlib.sha256(content).digest() + content)
    done = serve(changed(tmp_path, **{key: str(value) for key, value in settings.items()}))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "empty model.cache_path" in done.stderr


def test_an_engine_whose_library_crashes(tmp_path: Path) -> None:
    (tmp_path / "openvino.py").write_text("import os; os.abort()")
    with pytest.raises(EngineError, match=r"engine: openvino does not open .* status -6 .*: set"):
        check_opening(ModelSettings(engine="openvino"), {"PYTHONPATH": str(tmp_path)})


def odd_graph() -> Graph:
    """It says that it is ours and has an operator that nobody knows."""
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 17, "nobody": 1]> '
        "net (uint8[n,h,w,3] rgb, uint8[n,h,w] trimap) => (uint8[n,h,w] alpha) "
        "{ alpha = nobody.Guess (rgb, trimap) }"
    )
    content = model.SerializeToString()
    return stamped(content, name="odd", version="3", sha256="0" * 64, precision="fp32")

"""What is refused on any machine, before anything is opened."""

from pathlib import Path

import pytest

from serve_app.engines import availability, check_anywhere
from serve_app.engines.graph import Graph, quantised_path, stamped, write_graph
from serve_app.engines.rules import check_rules
from serve_app.errors import CheckpointError, EngineError
from serve_app.settings import ModelSettings


@pytest.mark.parametrize(
    ("engine", "device", "precision", "words"),
    [
        ("openvino", "cuda", "auto", "device: cuda is not for engine: openvino.*set device: cpu"),
        ("openvino", "auto", "fp16", "fp16 needs a GPU.*set precision: auto"),
        ("auto", "cpu", "fp16", "fp16 needs a GPU"),
        ("onnx", "cpu", "fp16", "fp16 needs a GPU"),
        ("torch", "auto", "int8", "int8 is not for engine: torch: set engine: openvino"),
        ("tensorrt", "auto", "int8", "int8 is not for engine: tensorrt .*set engine: openvino"),
        ("tensorrt", "cpu", "auto", "device: cpu is not for engine: tensorrt.*set device: cuda"),
        ("auto", "cuda:1", "int8", "int8 is for CPUs and device: cuda:1 is none: set precision"),
    ],
)
def test_settings_that_exclude_each_other(
    engine: str, device: str, precision: str, words: str
) -> None:
    with pytest.raises(EngineError, match=words):
        check_rules(engine, device, precision)


@pytest.mark.parametrize(
    ("engine", "device", "precision"),
    [
        *(("auto", device, "auto") for device in ("auto", "cpu", "cuda", "cuda:1")),
        *(("auto", "auto", precision) for precision in ("fp32", "fp16", "int8")),
        *(("torch", "cuda", "fp16"), ("openvino", "cpu", "int8"), ("onnx", "cuda", "fp16")),
        *(("tensorrt", "auto", "fp16"), ("fake", "cpu", "auto")),
    ],
)
def test_settings_that_may_hold_somewhere(engine: str, device: str, precision: str) -> None:
    check_rules(engine, device, precision)


@pytest.fixture
def weights(checkpoint: Path, tmp_path: Path) -> Path:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(checkpoint.read_bytes())
    return path


def settings(path: Path, **values: str) -> ModelSettings:
    """On the CPU; graphs that are made would be found beside the weights."""
    cache = path.parent / "cache"
    return ModelSettings.model_validate(
        {"model_path": path, "device": "cpu", "cache_path": cache, **values}
    )


def test_what_is_missing_here_may_be_there_elsewhere(weights: Path, tmp_path: Path) -> None:
    check_anywhere(settings(tmp_path / "none.safetensors"))
    check_anywhere(settings(weights, precision="int8"))
    check_anywhere(settings(weights, engine="tensorrt", device="cuda"))
    check_anywhere(settings(weights, engine="torch", device="cuda:7"))
    check_anywhere(settings(weights))
    assert not (tmp_path / "cache").exists()  # nothing was made for it


def test_a_broken_checkpoint(weights: Path) -> None:
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match="cannot be read"):
        check_anywhere(settings(weights))


@pytest.mark.parametrize("precision", ["auto", "int8"])
@pytest.mark.parametrize("damage", ["format", "weights", "bytes"])
def test_a_bad_quantised_file(
    precision: str, damage: str, weights: Path, graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serve_app.engines.has_int8_dot_products", lambda: True)
    path = quantised_path(weights)
    write_quantised(path, graph, damage)
    with pytest.raises(EngineError, match=WORDS[damage]):
        check_anywhere(settings(weights, precision=precision))
    check_anywhere(settings(weights, precision="fp32"))
    check_anywhere(settings(weights, engine="torch"))


def test_a_bad_quantised_file_is_not_read_where_it_is_not_used(
    weights: Path, graph: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(availability, "_CPUINFO", tmp_path / "none")  # no instructions for it
    write_quantised(quantised_path(weights), graph, "format")
    check_anywhere(settings(weights))


def test_a_bad_graph(graph: Graph, tmp_path: Path) -> None:
    path = tmp_path / "graph.onnx"
    write_quantised(path, graph, "format")
    with pytest.raises(EngineError, match="export it again"):
        check_anywhere(settings(path))
    path.write_bytes(graph.content)
    check_anywhere(settings(path))
    with pytest.raises(EngineError, match=r"int8 was asked for and .* is fp32"):
        check_anywhere(settings(path, precision="int8"))


WORDS = {
    "format": r"is of format 0 .* which reads \d+: export it again",
    "weights": "made from other weights .*run cvunet export",
    "bytes": "is not an ONNX file: copy it again",
}


def write_quantised(path: Path, graph: Graph, damage: str) -> None:
    """An int8 file that is of another format, of other weights, or no whole file."""
    sha256 = "0" * 64 if damage == "weights" else graph.sha256
    made = stamped(graph.content, name="a", version="3", sha256=sha256, precision="int8")
    if damage == "format":
        import onnx

        model = onnx.load_model_from_string(made.content)
        onnx.helper.set_model_props(
            model,
            {p.key: "0" if p.key == "cvunet.format" else p.value for p in model.metadata_props},
        )
        path.write_bytes(model.SerializeToString())
        return
    write_graph(made, path)
    if damage == "bytes":
        path.write_bytes(made.content[: len(made.content) // 2])

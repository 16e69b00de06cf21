"""The graph's file: what is kept, what is taken back, what is refused."""

import shutil
from pathlib import Path

import onnx
import pytest

from serve_app.engines import graph as module
from serve_app.engines.graph import (
    Graph,
    is_external,
    load_graph,
    quantised_path,
    read_graph,
    stamped,
    write_graph,
)
from serve_app.errors import CheckpointError, EngineError
from serve_app.models.checkpoint import load_checkpoint, save_checkpoint


def made(graph: Graph, **changes: str) -> Graph:
    """The same network under another description."""
    values = {
        "name": graph.name,
        "version": graph.version,
        "sha256": graph.sha256,
        "precision": graph.precision,
    }
    return stamped(graph.content, **{**values, **changes})


@pytest.fixture
def no_conversion(monkeypatch: pytest.MonkeyPatch, graph: Graph) -> list[str]:
    """Conversions that were asked for; each gives the graph that there is."""
    asked: list[str] = []

    def convert(_: object, info: object, precision: str) -> Graph:
        asked.append(precision)
        return graph

    monkeypatch.setattr("serve_app.engines.convert.convert", convert)
    return asked


def test_it_says_what_it_was_made_from(graph: Graph) -> None:
    assert (graph.name, graph.version, graph.precision) == ("small", "3", "fp32")


def test_it_survives_its_file(graph: Graph, tmp_path: Path) -> None:
    write_graph(graph, tmp_path / "a.onnx")
    assert read_graph(tmp_path / "a.onnx") == graph
    assert [p.name for p in tmp_path.iterdir()] == ["a.onnx"]


@pytest.mark.parametrize("damage", ["weight", "behind", "seal"])
def test_one_that_was_altered_is_refused(graph: Graph, tmp_path: Path, damage: str) -> None:
    content = bytearray(graph.content)
    if damage == "weight":
        weight = onnx.load_model_from_string(graph.content).graph.initializer[-1].raw_data
        content[content.index(weight) + len(weight) // 2] ^= 1
    elif damage == "behind":
        content += onnx.ModelProto(producer_name="somebody").SerializeToString()
    else:
        content[-1] = ord("0") if content[-1] != ord("0") else ord("1")
    path = tmp_path / "a.onnx"
    path.write_bytes(content)
    onnx.load_model_from_string(bytes(content))  # nothing else would notice
    with pytest.raises(EngineError, match=r"has been altered: .* copy it again"):
        read_graph(path)


def test_one_without_a_sum_is_taken(graph: Graph, tmp_path: Path) -> None:
    model = onnx.load_model_from_string(graph.content)
    assert model.metadata_props.pop().key == "cvunet.seal"
    (tmp_path / "old.onnx").write_bytes(model.SerializeToString())
    assert read_graph(tmp_path / "old.onnx").sha256 == graph.sha256


def test_its_second_start_takes_the_cache(
    checkpoint: Path, cache: Path, graph: Graph, no_conversion: list[str]
) -> None:
    assert load_graph(checkpoint, "auto", cache) == graph
    assert no_conversion == []


def test_the_same_weights_by_another_name_are_another_graph(
    checkpoint: Path, cache: Path, graph: Graph, tmp_path: Path
) -> None:
    other = tmp_path / "other.safetensors"
    model, _ = load_checkpoint(checkpoint)
    save_checkpoint(other, model, version="another", metrics={})
    shutil.copytree(cache, tmp_path / "cache")
    found = load_graph(other, "fp32", tmp_path / "cache")
    assert (found.name, found.version) == ("other", "another")
    assert found.sha256 == graph.sha256


@pytest.mark.parametrize("what", ["version", "weights", "bytes", "format"])
def test_a_cache_of_something_else_is_made_again(
    what: str,
    checkpoint: Path,
    graph: Graph,
    no_conversion: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    load_graph(checkpoint, "fp32", tmp_path)
    (kept,) = tmp_path.iterdir()
    no_conversion.clear()
    if what == "version":
        monkeypatch.setattr(module, "__version__", "9.9.9")
    elif what == "weights":
        write_graph(made(graph, sha256="0" * 64), kept)
    elif what == "format":
        monkeypatch.setattr(module, "FORMAT", "0")
        write_graph(made(graph), kept)
        monkeypatch.setattr(module, "FORMAT", "1")
    else:
        kept.write_bytes(b"half a file")
    load_graph(checkpoint, "fp32", tmp_path)
    assert no_conversion == ["fp32"]


def test_a_cache_that_cannot_be_written_is_said(
    checkpoint: Path, tmp_path: Path, no_conversion: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    load_graph(checkpoint, "fp32", tmp_path / "file" / "below")
    assert "cache_path" in caplog.text


def test_int8_stands_beside_its_checkpoint(checkpoint: Path, graph: Graph, tmp_path: Path) -> None:
    weights = tmp_path / checkpoint.name
    weights.write_bytes(checkpoint.read_bytes())
    with pytest.raises(EngineError, match=r"small\.int8\.onnx', which is not there: run cvunet"):
        load_graph(weights, "int8", tmp_path)
    write_graph(made(graph, precision="int8", sha256="0" * 64), quantised_path(weights))
    with pytest.raises(EngineError, match=r"other weights .*: run cvunet export"):
        load_graph(weights, "int8", tmp_path)
    write_graph(made(graph, precision="int8"), quantised_path(weights))
    assert load_graph(weights, "int8", tmp_path).precision == "int8"


def test_a_file_of_another_precision_is_refused(graph: Graph, tmp_path: Path) -> None:
    write_graph(graph, tmp_path / "a.onnx")
    assert load_graph(tmp_path / "a.onnx", "auto", tmp_path).precision == "fp32"
    with pytest.raises(EngineError, match=r"int8 was asked for and .* is fp32"):
        load_graph(tmp_path / "a.onnx", "int8", tmp_path)


def test_files_that_are_not_ours(graph: Graph, tmp_path: Path) -> None:
    model = onnx.load_model_from_string(graph.content)
    del model.metadata_props[:]
    (tmp_path / "theirs.onnx").write_bytes(model.SerializeToString())
    (tmp_path / "broken.onnx").write_bytes(b"not an ONNX file")
    assert is_external(tmp_path / "theirs.onnx")
    with pytest.raises(EngineError, match="not written by cvunet export"):
        read_graph(tmp_path / "theirs.onnx")
    with pytest.raises(EngineError, match="not an ONNX file"):
        read_graph(tmp_path / "broken.onnx")
    with pytest.raises(CheckpointError, match="is not a file"):
        read_graph(tmp_path / "none.onnx")

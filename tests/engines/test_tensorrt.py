"""TensorRT, as far as it goes without a GPU: the ONNX it is given, the command, the file's name."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from serve_app.engines.graph import Graph
from serve_app.engines.onnx import OnnxEngine
from serve_app.engines.tensorrt import Plan, TensorRtEngine, at_size
from serve_app.errors import EngineError
from tests.conftest import picture

PLAN = Plan("NVIDIA H100 80GB HBM3", "10.13.2", "ab" * 32, "fp16", (576, 1024))


@pytest.mark.parametrize("size", [(64, 64), (96, 128), (64, 352), (96, 96)])
def test_the_graph_of_one_size_is_the_same_network(graph: Graph, size: tuple[int, int]) -> None:
    rgb = np.stack([picture(*size), picture(*size)[::-1]])
    trimap = np.full(rgb.shape[:3], 128, np.uint8)
    fixed = OnnxEngine(replace(graph, content=at_size(graph.content, size)), "cpu")
    assert np.array_equal(fixed.predict(rgb, trimap), OnnxEngine(graph, "cpu").predict(rgb, trimap))


def test_nothing_in_it_depends_on_the_size(graph: Graph) -> None:
    model = onnx.load_model_from_string(at_size(graph.content, (96, 128)))
    onnx.checker.check_model(model)
    shapes = {
        value.name: [d.dim_value or d.dim_param for d in value.type.tensor_type.shape.dim]
        for value in [*model.graph.input, *model.graph.output]
    }
    assert shapes == {"rgb": ["n", 96, 128, 3], "trimap": ["n", 96, 128], "alpha": ["n", 96, 128]}
    assert not {"ReduceMax", "Greater", "Min", "Max"} & {node.op_type for node in model.graph.node}


def test_bytes_are_only_at_its_ends(graph: Graph) -> None:
    model = onnx.load_model_from_string(graph.content)
    first = {n.op_type for n in model.graph.node if set(n.input) & {"rgb", "trimap"}}
    assert first == {"Cast"}
    assert model.graph.node[-1].op_type == "Cast"


def test_a_file_is_for_one_thing(tmp_path: Path) -> None:
    others = [
        replace(PLAN, gpu="NVIDIA L4"),
        replace(PLAN, tensorrt="10.14.0"),
        replace(PLAN, sha256="cd" * 32),
        replace(PLAN, precision="fp32"),
        replace(PLAN, size=(1024, 576)),
        replace(PLAN, max_batch=4),
    ]
    assert len({plan.path(tmp_path) for plan in [PLAN, *others]}) == 7
    assert " " not in PLAN.path(tmp_path).name


def test_the_command_builds_the_same() -> None:
    words = PLAN.command(Path("/cache")).split()
    assert words[0] == "trtexec"
    assert "--stronglyTyped" in words
    assert "--minShapes=rgb:1x576x1024x3,trimap:1x576x1024" in words
    assert "--maxShapes=rgb:16x576x1024x3,trimap:16x576x1024" in words
    assert f"--saveEngine={PLAN.path(Path('/cache'))}" in words


def test_it_is_refused_where_it_is_missing(graph: Graph, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"needs .* tensorrt.*cvunet-serve\[tensorrt\]"):
        TensorRtEngine(graph, "auto", tmp_path)

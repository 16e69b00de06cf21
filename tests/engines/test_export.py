"""`cvunet export`: a file that agrees with torch, or none."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from serve_app.cli import main
from serve_app.commands.export import read_photos
from serve_app.engines import open_engine
from serve_app.engines.graph import Graph, read_graph
from serve_app.engines.quantize import STEPS, _left_out
from serve_app.errors import InputError
from serve_app.settings import ModelSettings
from tests.conftest import picture

WEIGHTS = {
    "a": "network.context.encoder.stem.0.weight",
    "b": "network.context.encoder.blocks.15.project.weight",
    "c": "network.context.laterals.1.weight",
    "d": "network.context.merges.0.0.weight",
    "e": "network.context.head.weight",
    "f": "network.detail.head.weight",
}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    for name in ("images", "alphas"):
        (folder / name).mkdir(parents=True)
    for i in range(8):
        Image.fromarray(np.roll(picture(), 9 * i, 1)).save(folder / "images" / f"{i}.png")
        Image.fromarray(picture()[..., 0]).save(folder / "alphas" / f"{i}.png")
    return folder


@pytest.fixture(autouse=True)
def known_graph(monkeypatch: pytest.MonkeyPatch, graph: Graph) -> None:
    """The conversion has its own tests and takes seconds."""
    monkeypatch.setattr("serve_app.commands.export.load_graph", lambda *_: graph)


def test_fp32(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.onnx"
    assert main(["export", str(out), "--engine", "openvino", "--model", str(checkpoint)]) == 0
    assert "against torch fp32: mean absolute error 0.0" in capsys.readouterr().out
    assert read_graph(out).precision == "fp32"
    engine = open_engine(ModelSettings(model_path=out, device="cpu"))
    assert engine.info.engine == "openvino"


def test_a_network_that_disagrees_is_not_kept(
    checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("serve_app.engines.agreement.SHARE", 1.01)  # more than all pixels
    out = tmp_path / "out.onnx"
    assert main(["export", str(out), "--model", str(checkpoint)]) == 2
    assert "does not agree with torch fp32 and is not kept: mean" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["out.plan"], "must end in .onnx"),
        (["out.onnx", "--precision", "int8"], "go together"),
        (["out.onnx", "--precision", "int8", "--calibrate", "."], "takes two or more"),
    ],
)
def test_wrong_words(
    arguments: list[str],
    message: str,
    checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["export", *arguments, "--model", str(checkpoint)]) == 2
    assert message in capsys.readouterr().err


# NNCF's own dependencies warn of their deprecations.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_int8(
    checkpoint: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.onnx"
    command = ["export", str(out), "--engine", "openvino", "--precision", "int8"]
    assert main([*command, "--calibrate", str(photos), "--model", str(checkpoint)]) == 0
    assert read_graph(out).precision == "int8"
    assert "int8, every convolution: mean absolute error" in capsys.readouterr().out
    engine = open_engine(ModelSettings(model_path=out, device="cpu"))
    assert engine.info.label == "small/3 (openvino, cpu, int8)"


def test_each_step_leaves_more_in_fp32() -> None:
    left = [_left_out(WEIGHTS, step) for step in STEPS]
    assert left == [[], ["c", "d", "e"], ["a", "b", "c", "d", "e"]]


def test_a_photo_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(b"broken")
    with pytest.raises(InputError, match=r"--calibrate: '.*/[ab]\.jpg': .*, or leave it out"):
        read_photos(tmp_path, 2)

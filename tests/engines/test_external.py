"""Other authors' networks: what reaches them, what comes back, what is refused.

The networks are one operator each, so that the right answer can be said beforehand.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx.parser
import pytest
import yaml

from serve_app.cli import main
from serve_app.engines import open_engine
from serve_app.engines.external import ExternalEngine, fitted, form
from serve_app.errors import CheckpointError, EngineError
from serve_app.evaluation import overlap, read_alpha
from serve_app.settings import ROOT, ModelSettings, OnnxNetwork, load_settings

PLAIN: dict[str, Any] = {"size": (32, 48), "mean": (0, 0, 0), "std": (1, 1, 1)}


def network(path: Path, body: str, inputs: str = "float[1,3,h,w] x") -> Path:
    """Write a network of the ONNX operators in `body`, whose outputs are `y` and `z`."""
    model = onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["": 17]> net ({inputs}) '
        f"=> (float[1,c,h,w] y, float[1,d,h,w] z) {{ {body} }}"
    )
    path.write_bytes(model.SerializeToString())
    return path


RED = """start = Constant <value_ints = [0]> () end = Constant <value_ints = [1]> ()
axis = Constant <value_ints = [1]> () y = Slice (x, start, end, axis) z = Neg (y)"""


@pytest.fixture
def red(tmp_path: Path) -> Path:
    return network(tmp_path / "red.onnx", RED)


def image(height: int = 64, width: int = 96) -> np.ndarray:
    """Red grows from left to right; nothing else."""
    rgb = np.zeros((1, height, width, 3), np.uint8)
    rgb[..., 0] = np.linspace(0, 255, width).astype(np.uint8)
    return rgb


def predict(engine: ExternalEngine, rgb: np.ndarray) -> np.ndarray:
    return engine.predict(rgb, np.full(rgb.shape[:3], 128, np.uint8))


@pytest.mark.parametrize("fit", ["stretch", "pad", "short_side"])
@pytest.mark.parametrize("size", [(64, 96), (96, 64), (32, 160)])
def test_an_answer_lies_on_its_picture(red: Path, fit: str, size: tuple[int, int]) -> None:
    engine = ExternalEngine(red, OnnxNetwork(**{**PLAIN, "fit": fit}), "cpu")
    rgb = image(*size)
    difference = np.abs(predict(engine, rgb).astype(int) - rgb[..., 0])
    assert difference.mean() < 3
    assert difference.max() < 16


def test_a_colour_is_the_same_number_in_every_picture() -> None:
    settings = OnnxNetwork(mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
    dark, light = np.full((4, 4, 3), 10, np.uint8), np.full((4, 4, 3), 250, np.uint8)
    dark[0, 0] = light[0, 0] = (90, 120, 30)
    expected = (np.array([90, 120, 30]) / 255 - settings.mean) / settings.std
    for picture in (dark, light):
        assert np.allclose(form(picture, settings)[0, :, 0, 0], expected, atol=1e-6)


def test_axes_and_channels() -> None:
    picture = np.zeros((2, 5, 3), np.uint8)
    picture[..., 2] = 255  # blue
    values = form(picture, OnnxNetwork(**{**PLAIN, "layout": "nhwc", "channels": "bgr"}))
    assert values.shape == (1, 2, 5, 3)
    assert values[0, 0, 0].tolist() == [1, 0, 0]


def test_sizes() -> None:
    modnet = OnnxNetwork(size=(512, 512), fit="short_side")
    assert fitted((576, 1024), modnet) == ((512, 896), (512, 896))
    padded = OnnxNetwork(size=(256, 256), fit="pad")
    assert fitted((100, 200), padded) == ((128, 256), (256, 256))
    assert fitted((100, 200), OnnxNetwork(size=(320, 320))) == ((320, 320), (320, 320))


def test_outputs_and_activation(red: Path) -> None:
    rgb = np.full((1, 32, 32, 3), 255, np.uint8)
    last = ExternalEngine(red, OnnxNetwork(**PLAIN, output=-1), "cpu")
    assert predict(last, rgb).max() == 0  # -1, clipped
    sigmoid = ExternalEngine(red, OnnxNetwork(**PLAIN, activation="sigmoid"), "cpu")
    assert np.all(predict(sigmoid, rgb) == round(255 / (1 + np.exp(-1))))


def test_what_does_not_fit_is_refused(red: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"model.onnx.output = 5: .* has 2 outputs"):
        ExternalEngine(red, OnnxNetwork(**PLAIN, output=5), "cpu")
    with pytest.raises(CheckpointError, match=r"none\.onnx' is not a file"):
        ExternalEngine(tmp_path / "none.onnx", OnnxNetwork(), "cpu")
    every = network(tmp_path / "rgb.onnx", "y = Abs (x) z = Neg (x)")
    with pytest.raises(EngineError, match=r"shape \(3, 32, 48\)"):
        ExternalEngine(every, OnnxNetwork(**PLAIN), "cpu")
    axes = OnnxNetwork(**PLAIN, layout="nhwc")
    with pytest.raises(EngineError, match=r"does not take a picture as model\.onnx describes it"):
        ExternalEngine(red, axes, "cpu")


@pytest.mark.parametrize("name", ["u2net", "isnet", "modnet", "birefnet", "prisma"])
def test_the_known_networks_settings_run(name: str, tmp_path: Path) -> None:
    """A network that gives back what it was fed: the alpha follows from the settings alone."""
    path = ROOT / "configs" / "models" / f"{name}.yaml"
    settings = load_settings(path, environ={}).model
    outputs = network(tmp_path / "red.onnx", RED.replace("z = Neg (y)", "z = Identity (y)"))
    engine = ExternalEngine(outputs, settings.onnx, "cpu")
    mean, std = settings.onnx.mean[0], settings.onnx.std[0]
    for red in (255, 160):
        fed = (red / 255 - mean) / std
        expected = 1 / (1 + np.exp(-fed)) if settings.onnx.activation == "sigmoid" else fed
        rgb = np.zeros((1, 48, 64, 3), np.uint8)
        rgb[..., 0] = red
        found = predict(engine, rgb)
        assert found.shape == (1, 48, 64)
        assert np.abs(found - 255 * np.clip(expected, 0, 1)).max() <= 1


def test_a_published_network_runs_from_the_command_line(photos: Path, tmp_path: Path) -> None:
    peer = photos.parent / "peers" / "prisma_nchw.onnx"
    if not peer.exists():
        pytest.skip("the peer's weights are not beside this checkout")
    photo = photos / "ccp" / "images" / "0155.jpg"
    truth = read_alpha(photos / "ccp" / "alphas" / f"{photo.stem}.png")
    given = ["--settings", ROOT / "configs" / "models" / "prisma.yaml", "--model", peer]
    out = tmp_path / "alpha.png"
    assert main([str(a) for a in ("matte", photo, out, *given, "--output", "alpha")]) == 0
    assert overlap(read_alpha(out), truth) > 0.7


@pytest.mark.parametrize("engine", ["auto", "onnx"])
def test_it_opens_by_its_file(red: Path, engine: str) -> None:
    settings = {"model_path": red, "engine": engine, "device": "cpu", "onnx": PLAIN}
    opened = open_engine(ModelSettings.model_validate(settings))
    assert opened.info.label == "red/external (onnx, cpu, fp32)"


@pytest.mark.parametrize("name", ["u2net", "isnet", "modnet", "birefnet", "prisma"])
def test_the_known_networks_settings_are_whole(name: str) -> None:
    path = ROOT / "configs" / "models" / f"{name}.yaml"
    settings = load_settings(path, environ={}).model
    assert settings.engine == "onnx"
    written = yaml.safe_load(path.read_text())["model"]["onnx"]
    assert set(written) == set(OnnxNetwork.model_fields)
    assert settings.onnx.scale == pytest.approx(1 / 255)

from pathlib import Path

import pytest
import torch

from serve_app.models.checkpoint import load_checkpoint, save_checkpoint
from serve_app.models.unet import UNetMatting
from training.mean import main


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    paths = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    for seed, path in enumerate(paths):
        torch.manual_seed(seed)
        save_checkpoint(path, UNetMatting(context_side=64), version="1", metrics={})
    return paths


def test_a_share_of_the_second(pair: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "mean.safetensors"
    shares = ["--share", "0.25", "--encoder-share", "0.5"]
    assert main([*map(str, pair), *shares, "--version", "7", "--out", str(out)]) == 0
    (a, _), (b, _), (found, info) = (load_checkpoint(path) for path in (*pair, out))
    assert info.version == "7"
    for name, share in (("context.head.weight", 0.25), ("context.encoder.stem.0.weight", 0.5)):
        expected = (1 - share) * a.state_dict()[name] + share * b.state_dict()[name]
        torch.testing.assert_close(found.state_dict()[name], expected)


def test_a_share_is_from_0_to_1(
    pair: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([*map(str, pair), "--share", "1.5", "--out", "x"])
    assert "1.5" in capsys.readouterr().err


def test_networks_of_two_shapes_have_none(
    pair: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "c.safetensors"
    save_checkpoint(other, UNetMatting(context_side=96), version="1", metrics={})
    assert main([str(pair[0]), str(other), "--out", str(tmp_path / "x")]) == 2
    assert "context_side=96" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()

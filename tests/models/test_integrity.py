"""A checkpoint is judged without torch as with it."""

from pathlib import Path

import pytest
import torch

from serve_app.errors import CheckpointError
from serve_app.models.checkpoint import load_checkpoint, save_checkpoint
from serve_app.models.integrity import check_file
from serve_app.models.unet import UNetMatting
from serve_app.settings import ModelSettings, resolve_path


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "mine.safetensors"
    save_checkpoint(path, UNetMatting(), version="1", metrics={})
    return path


def test_whole_ones_pass(checkpoint: Path, tmp_path: Path) -> None:
    assert check_file(checkpoint) == load_checkpoint(checkpoint)[1].sha256
    (tmp_path / "mine.pth").touch()
    assert check_file(tmp_path / "mine.pth") is None
    check_file(resolve_path(ModelSettings().model_path))


def test_a_changed_byte_is_seen_by_both(checkpoint: Path) -> None:
    data = bytearray(checkpoint.read_bytes())
    data[-1000] ^= 1
    checkpoint.write_bytes(data)
    for check in (check_file, load_checkpoint):
        with pytest.raises(CheckpointError, match="has been altered"):
            check(checkpoint)


@pytest.mark.parametrize("keep", [0, 5, 100, 100_000])
def test_one_cut_short_cannot_be_read(checkpoint: Path, keep: int) -> None:
    checkpoint.write_bytes(checkpoint.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match=r"mine\.safetensors' cannot be read .*copy it again"):
        check_file(checkpoint)


def test_rubbish_cannot_be_read(checkpoint: Path) -> None:
    for data in (b"\x08" + bytes(7) + b"[1,2,3] ", b"\xff" * 100, bytes(100)):
        checkpoint.write_bytes(data)
        with pytest.raises(CheckpointError, match="cannot be read"):
            check_file(checkpoint)


def test_a_missing_one_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"none\.pth' is not a file: set model_path"):
        check_file(tmp_path / "none.pth")

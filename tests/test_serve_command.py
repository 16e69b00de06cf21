"""`cvunet serve` says what is wrong before it starts anything."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from serve_app.settings import ROOT


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


@pytest.mark.parametrize("text", ["[1, 2]", "a: [", ""])
def test_a_file_that_is_no_config(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    done = serve(path)
    assert done.returncode == 2
    assert str(path) in done.stderr

"""A wheel is whole: the code, the page, the checkpoint and the configurations."""

import subprocess
import sys
import zipfile
from pathlib import Path

from serve_app.settings import ROOT


def test_a_wheel_holds_what_the_service_needs(tmp_path: Path) -> None:
    source = tmp_path / "source"
    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    for name in filter(None, tracked.split("\0")):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", tmp_path, source], check=True)
    (wheel,) = tmp_path.glob("cvunet_serve-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = {name.split(".data/data/")[-1] for name in archive.namelist()}
    for needed in (
        "serve_app/app.py",
        "serve_app/web/index.html",
        "serve_app/imaging/weighing.npz",
        "share/cvunet-serve/serve_config.yaml",
        "share/cvunet-serve/configs/presets.yaml",
        "share/cvunet-serve/pretrained/cvunet_matting.safetensors",
    ):
        assert needed in names
    assert not any(name.startswith(("tests/", "training/")) for name in names)

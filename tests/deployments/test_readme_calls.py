"""The README's calls in curl, Python and JavaScript, run as they stand against the service."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.running_service import RunningService
from tests.conftest import encoded, picture
from tests.readme import code_blocks, shell_lines

CALLS = shell_lines("curl")


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("words", CALLS, ids=" ".join)
def test_its_calls_work(words: list[str], service: RunningService, tmp_path: Path) -> None:
    lay_out_photos(tmp_path)
    here = [word.replace("http://127.0.0.1:8000", service.url) for word in words]
    subprocess.run([*here, "--fail", "--silent", "--show-error"], cwd=tmp_path, check=True)
    made = tmp_path / words[words.index("-o") + 1]
    if zipfile.is_zipfile(made):
        with zipfile.ZipFile(made) as archive:
            assert archive.testzip() is None
        return
    with Image.open(made) as image:
        assert image.format in ("PNG", "WEBP", "JPEG")


def test_its_python_works(service: RunningService, tmp_path: Path) -> None:
    lay_out_photos(tmp_path)
    (code,) = code_blocks("python")
    here = code.replace("http://127.0.0.1:8000", service.url)
    done = subprocess.run(
        [sys.executable, "-c", here], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    first, *events = done.stdout.splitlines()
    assert first == "2 done, 0 failed"
    assert "kind='done'" in events[-1]
    assert zipfile.is_zipfile(tmp_path / "cutouts.zip")
    assert sorted(p.name for p in (tmp_path / "cutouts").iterdir()) == ["other.webp", "photo.webp"]


def test_its_javascript_works(service: RunningService, tmp_path: Path) -> None:
    if shutil.which("node") is None:
        if os.environ.get("CI"):
            pytest.fail("node is missing: CI must have it")
        pytest.skip("node is not installed")
    lay_out_photos(tmp_path)
    (code,) = code_blocks("js")
    (tmp_path / "call.mjs").write_text(code.replace("http://127.0.0.1:8000", service.url))
    subprocess.run(["node", "call.mjs"], cwd=tmp_path, check=True)
    with Image.open(tmp_path / "on-white.png") as image:
        assert image.mode == "RGB"


def lay_out_photos(folder: Path) -> None:
    for name in ("photo.jpg", "other.jpg"):
        (folder / name).write_bytes(encoded(picture(), "JPEG"))


def test_it_has_calls_to_run() -> None:
    assert len(CALLS) >= 3

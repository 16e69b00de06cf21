"""The README's curl lines, run as they stand against the real service."""

import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import encoded, picture
from tests.deployments.conftest import Service
from tests.readme import shell_lines

CALLS = shell_lines("curl")


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("words", CALLS, ids=" ".join)
def test_its_calls_work(words: list[str], service: Service, tmp_path: Path) -> None:
    for name in ("photo.jpg", "other.jpg", "background.jpg"):
        (tmp_path / name).write_bytes(encoded(picture(), "JPEG"))
    here = [word.replace("http://127.0.0.1:8000", service.url) for word in words]
    subprocess.run([*here, "--fail", "--silent", "--show-error"], cwd=tmp_path, check=True)
    made = tmp_path / words[words.index("-o") + 1]
    if zipfile.is_zipfile(made):
        with zipfile.ZipFile(made) as archive:
            assert archive.testzip() is None
        return
    with Image.open(made) as image:
        assert image.format in ("PNG", "WEBP", "JPEG")


def test_it_has_calls_to_run() -> None:
    assert len(CALLS) >= 3

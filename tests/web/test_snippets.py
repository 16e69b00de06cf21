"""The API tab: what it shows runs as it stands and gives what the page gives."""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serve_app.settings import parse_settings
from tests.api.conftest import serving
from tests.web.conftest import Service
from tests.web.steps import ask, pick, pixels, save, wait_for_result

# Quotes of every kind: a name is anyone's.
AWKWARD = """it's "my" cat; $HOME, ok.jpg"""


@pytest.fixture
def awkward(tmp_path: Path, photo: Path) -> Path:
    return photo.rename(tmp_path / AWKWARD)


def code(page: Any, which: str) -> str:
    page.click("#tab-api")
    text: str = page.inner_text(f"#{which}")
    return text


def test_the_curl_line_runs(page: Any, service: Service, awkward: Path, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    pick(page, awkward)
    wait_for_result(page)
    subprocess.run(["sh", "-c", code(page, "sent-curl")], cwd=tmp_path, check=True, timeout=30)
    own = ask(service.url, awkward, format="png")
    assert awkward.with_suffix(".png").read_bytes() == own


def test_the_python_code_runs(page: Any, service: Service, awkward: Path, tmp_path: Path) -> None:
    pick(page, awkward)
    wait_for_result(page)
    page.check("#swatch-sky")
    page.check("[name=format][value=jpeg]")
    _, data = save(page)
    script = code(page, "seen-python")
    # Its interpreter is not told of this checkout or of pytest's warnings.
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, timeout=30)
    made = awkward.with_suffix(".jpg").read_bytes()
    assert np.abs(pixels(made, "RGB") - pixels(data, "RGB")).mean() < 2


def test_a_key_is_asked_for_where_one_is_wanted(open_page: Callable[..., Any], photo: Path) -> None:
    key = "a key for this test"
    digest = hashlib.sha256(key.encode()).hexdigest()
    with serving(parse_settings({"access": {"key_hashes": [digest]}}, {})) as url:
        page = open_page(url=url)
        pick(page, photo)
        page.fill("#key", "a wrong one")
        page.keyboard.press("Enter")
        page.wait_for_selector("#key-refused", state="visible")
        page.fill("#key", key)
        page.keyboard.press("Enter")
        wait_for_result(page)
        assert page.is_hidden("#key-dialog")
        # What is shown to copy names the key's place and never the key.
        assert "$CVUNET_API_KEY" in code(page, "sent-curl")
        assert 'os.environ["CVUNET_API_KEY"]' in code(page, "sent-python")
        assert key not in page.inner_text("#panel-api")


def test_before_any_photo_there_is_an_example(page: Any) -> None:
    assert "image=@photo.jpg" in code(page, "sent-curl")
    assert "preset=bulk" in code(page, "sent-curl")


def test_the_about_tab_says_what_answers(page: Any) -> None:
    page.click("#tab-about")
    page.wait_for_selector("#panel-about .mono")
    words = page.inner_text("#panel-about")
    assert "50 MP" in words
    assert "AVIF" in words
    assert "SHA-256" in words


def test_the_tab_stands_in_the_address(open_page: Callable[..., Any]) -> None:
    page = open_page("/#api")
    assert page.is_visible("#panel-api")
    page.click(".brand")
    assert page.is_visible("#panel-work")

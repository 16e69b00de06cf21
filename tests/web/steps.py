"""What a user does, and what they then have, in words that the tests share."""

import io
import time
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image


def pick(page: Any, *paths: Path) -> None:
    page.set_input_files("#file-input", [str(path) for path in paths])


def wait_for_result(page: Any) -> None:
    page.wait_for_selector(".stage.has-result:not(.is-working)")


def wait_until_idle(page: Any) -> None:
    page.wait_for_selector("#run:not(.is-busy)", state="attached")


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Wait for a condition; the page's policy forbids the waiting that Playwright does by eval."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.02)


def states(page: Any) -> dict[str, str]:
    """Name to state, of each tile."""
    script = (
        "tiles => tiles.map(t => [t.querySelector('.photo-name').textContent, t.dataset.state])"
    )
    return dict(page.eval_on_selector_all(".photo", script))


def drop(page: Any, paths: Sequence[Path]) -> None:
    """Drop files or folders of this disk on the page, as the system's file manager does."""
    session = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, "x": 500, "y": 300, "data": data})
    session.detach()


def save(page: Any, button: str = "#download") -> tuple[str, bytes]:
    """Click a button that downloads; gives the file's name and what is in it."""
    with page.expect_download() as waiting:
        page.click(button)
    download = waiting.value
    return download.suggested_filename, Path(download.path()).read_bytes()


def ask(url: str, photo: Path, **options: str) -> bytes:
    """The same from the API, without any browser."""
    files = {"image": (photo.name, photo.read_bytes())}
    response = httpx.post(f"{url}/v1/matting", files=files, data=options, timeout=30)
    response.raise_for_status()
    return response.content


def pixels(data: bytes, mode: str) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert(mode), np.int16)


def unzip(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def on_screen(page: Any, selector: str) -> np.ndarray:
    return pixels(page.locator(selector).screenshot(), "RGB")

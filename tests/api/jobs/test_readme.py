"""What the README says about jobs, as it stands there."""

import base64
import hmac
import json
import os
import shutil
import subprocess
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from serve_app.api.jobs.webhook import sign
from serve_app.settings import parse_settings, webhook_key
from tests.api.conftest import serving
from tests.api.jobs.conftest import SECRET
from tests.conftest import encoded, picture
from tests.readme import code_blocks


def test_its_calls_work(tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        if os.environ.get("CI"):
            pytest.fail("curl is missing: CI must have it")
        pytest.skip("curl is not installed")
    for name in ("photo.jpg", "other.jpg"):
        (tmp_path / name).write_bytes(encoded(picture(), "JPEG"))
    (script,) = code_blocks("bash")
    jobs = {"storage": str(tmp_path / "jobs"), "min_free_bytes": 0}
    with serving(parse_settings({"jobs": jobs}, environ={})) as url:
        here = script.replace("http://127.0.0.1:8000", url)
        done = subprocess.run(
            ["bash", "-euc", here],
            timeout=120,
            cwd=tmp_path,
            check=False,
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("event: file\n") == 2
    assert json.loads((tmp_path / "answer.json").read_bytes())["files"]["total"] == 2
    with zipfile.ZipFile(tmp_path / "cutouts.zip") as archive:
        assert archive.namelist() == ["photo.png", "other.png", "manifest.json"]


def test_its_check_of_a_webhook_works() -> None:
    names: dict[str, Any] = {"base64": base64, "hmac": hmac, "time": time}
    (code,) = code_blocks("py")
    exec(code, names)
    is_genuine: Callable[[dict[str, str], bytes, str], bool] = names["is_genuine"]
    parsed = parse_settings({"jobs": {"webhook_secret": SECRET}}, environ={})
    key, now = webhook_key(parsed.jobs.webhook_secret), int(time.time())

    def headers(at: int) -> dict[str, str]:
        signature = sign(key, "job", at, b"{}")
        return {"webhook-id": "job", "webhook-timestamp": str(at), "webhook-signature": signature}

    assert is_genuine(headers(now), b"{}", SECRET)
    assert not is_genuine(headers(now), b"[]", SECRET)
    assert not is_genuine(headers(now - 1000), b"{}", SECRET)
    assert not is_genuine({**headers(now), "webhook-id": "other"}, b"{}", SECRET)

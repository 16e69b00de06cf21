"""Services on one storage, and what tests ask of their jobs."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from serve_app.settings import Settings, parse_settings
from tests.api.conftest import serving
from tests.conftest import encoded

KEYS = ("sesame", "thistle")
SECRET = "whsec_" + "c2VjcmV0IG9mIHRoaXJ0eSB0d28gYnl0ZXMgbG9uZyE="


def square(red: int) -> bytes:
    """A file whose cutout's alpha tells which one it was."""
    return encoded(np.full((24, 24, 3), (red, 0, 0), np.uint8))


def images(*files: tuple[str, bytes]) -> list[tuple[str, tuple[str, bytes]]]:
    return [("image", file) for file in files]


def ended(client: httpx.Client, url: str, timeout_s: float = 90.0) -> dict[str, Any]:
    """The status of a job once nothing more happens to it."""
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        status = client.get(url).json()
        if status["state"] in ("done", "failed"):
            return status
        time.sleep(0.05)
    raise AssertionError(f"not finished in {timeout_s} s: {status}")


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("jobs")


@pytest.fixture(scope="module")
def make_settings(storage: Path, photo_host: str) -> Callable[..., Settings]:
    """Settings with keys, a webhook secret and fetching; sections can be changed."""

    def make(**changed: dict[str, Any]) -> Settings:
        values: dict[str, Any] = {
            "model": {"engine": "fake"},
            "limits": {"max_bytes": 100_000, "max_edge": 4000},
            "remote": {
                "enabled": True,
                "timeout_s": 5.0,
                "test_hosts": [photo_host.removeprefix("http://")],
            },
            "jobs": {
                "storage": str(storage),
                "lease_s": 2.0,
                "min_free_bytes": 0,
                "webhook_secret": SECRET,
            },
        }
        for section, own in changed.items():
            values[section] = {**values.get(section, {}), **own}
        return parse_settings(values, environ={"CVUNET_API_KEYS": ",".join(KEYS)})

    return make


@pytest.fixture(scope="module")
def client(make_settings: Callable[..., Settings]) -> Iterator[httpx.Client]:
    with serving(make_settings()) as url, caller(url) as client:
        yield client


def caller(url: str, key: str = KEYS[0]) -> httpx.Client:
    return httpx.Client(base_url=url, timeout=60, trust_env=False, headers={"X-API-Key": key})

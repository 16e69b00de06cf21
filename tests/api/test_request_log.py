"""What the log must never hold: keys, query strings, and anything of an image."""

import hashlib
import logging
import socket
import time

import httpx
import pytest

from serve_app.settings import AccessSettings, Settings
from tests.api.conftest import serving
from tests.conftest import encoded, picture

URL = "/v1/matting/batch"
KEY = "a-key-that-nobody-may-read"
PRIVATE = "private-value-of-the-query"


@pytest.fixture
def guarded(settings: Settings) -> Settings:
    access = AccessSettings(key_hashes=[hashlib.sha256(KEY.encode()).hexdigest()])
    return settings.model_copy(update={"access": access})


def everything(records: list[logging.LogRecord]) -> str:
    """All that any handler could write of the records."""
    return "".join(
        f"{record.getMessage()} {record.__dict__} {record.exc_text}" for record in records
    )


@pytest.mark.parametrize("header", ["X-API-Key", "Authorization"])
def test_no_line_holds_keys_queries_or_images(
    guarded: Settings, caplog: pytest.LogCaptureFixture, header: str
) -> None:
    image = encoded(picture())
    for name in ("httpx", "httpcore", "asyncio"):  # this side's own
        logging.getLogger(name).setLevel(logging.WARNING)
    headers = {header: KEY if header == "X-API-Key" else f"Bearer {KEY}"}
    files = {"image": ("private-name.png", image), "image_file": image, "file": image}
    with caplog.at_level(logging.DEBUG), serving(guarded) as url:
        statuses = [
            httpx.post(
                f"{url}{path}?{query}", headers=head, files={field: files[field]}
            ).status_code
            for path, field in (
                ("/v1/matting", "image"),
                ("/v1/matting/batch", "image"),
                ("/v1.0/removebg", "image_file"),
                ("/api/remove", "file"),
            )
            for query in ("", f"unknown={PRIVATE}", f"bgc={PRIVATE}")
            for head in (headers, {header: f"{KEY}-wrong"})
        ]
    assert {200, 400, 403} <= set(statuses)
    lines = [record for record in caplog.records if record.name == "ray.serve.cvunet"]
    assert len(lines) >= len(statuses)
    logged = everything(caplog.records)
    for secret in (KEY, PRIVATE, "private-name", repr(image[:16])[2:-1], image[-16:].hex()):
        assert secret not in logged


def test_a_client_that_leaves_is_499(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    head = f"POST {URL} HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n"
    form = "Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n"
    with caplog.at_level(logging.INFO, "ray.serve.cvunet"), serving(settings) as url:
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall((head + form).encode())
            time.sleep(0.2)
        deadline = time.monotonic() + 10
        while not (lines := [r for r in caplog.records if r.getMessage() == "request"]):
            assert time.monotonic() < deadline
            time.sleep(0.02)
    assert [(line.path, line.status) for line in lines] == [(URL, 499)]  # type: ignore[attr-defined]

"""The Python client against a running service."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import pytest

from serve_app import errors
from serve_app.client import AsyncClient, Client
from serve_app.client.unzip import StreamedUnzip
from serve_app.client.wire import ServiceUnreachable
from serve_app.settings import parse_settings
from tests.api.conftest import serving
from tests.conftest import encoded

Answer = Callable[[httpx.Request], httpx.Response]


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    """Three files, the second being no image."""
    paths = [tmp_path / name for name in ("a.png", "b.png", "猫.png")]
    for i, path in enumerate(paths):
        path.write_bytes(encoded(np.full((20, 30, 3), 90 + i, np.uint8)))
    paths[1].write_text("no image")
    return paths


def test_a_file_and_its_bytes_give_the_same(service: str, photo: bytes, tmp_path: Path) -> None:
    path = tmp_path / "cat.png"
    path.write_bytes(photo)
    with Client(service) as client:
        by_path = client.matte(path, format="webp", crop=True)
        by_bytes = client.matte(photo, format="webp", crop=True, preset=None)
    assert by_path.body == by_bytes.body
    assert by_path.media_type == "image/webp"
    assert (by_path.foreground.height, by_path.foreground.width) == (59, 59)
    assert by_path.save(tmp_path / "out.webp").read_bytes() == by_path.body


@pytest.mark.skipif(sys.platform != "linux", reason="its file names may be any bytes")
def test_a_name_that_is_no_utf_8(service: str, photo: bytes, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.png")
    path.write_bytes(photo)
    with Client(service) as client:
        assert client.matte(path).media_type == "image/png"
        (file,) = client.batch([path], tmp_path / "out").files
    assert file.output == tmp_path / "out" / "caf\ufffd.png"
    assert file.output.exists()


def test_every_file_is_sent(service: str, photo: bytes) -> None:
    blue = encoded(np.full((9, 9, 3), (0, 0, 255), np.uint8))
    trimap = encoded(np.zeros((90, 160), np.uint8))
    with Client(service) as client:
        cutout = client.matte(photo, background_image=blue, trimap=trimap)
    assert cutout.foreground.width == 0


def test_a_batch_into_a_folder(service: str, photos: list[Path], tmp_path: Path) -> None:
    saved: list[Path] = []
    with Client(service) as client:
        report = client.batch(photos, tmp_path / "out", on_saved=saved.append, format="webp")
    assert saved == [tmp_path / "out" / "a.webp", tmp_path / "out" / "猫.webp"]
    assert all(path.read_bytes()[8:12] == b"WEBP" for path in saved)
    assert [file.name for file in report.failed] == ["b.png"]
    assert report.failed[0].code == "unsupported_format"
    assert report.error == ""


def test_the_same_for_asyncio(
    service: str, photo: bytes, photos: list[Path], tmp_path: Path
) -> None:
    async def run() -> None:
        async with AsyncClient(service) as client:
            cutout, report = await asyncio.gather(
                client.matte(photo), client.batch(photos, tmp_path / "out")
            )
            assert cutout.media_type == "image/png"
            assert (tmp_path / "out" / "猫.png").is_file()
            assert len(report.failed) == 1
            with pytest.raises(errors.InvalidOption):
                await client.matte(photo, erode=9)
            with pytest.raises(errors.InvalidOption):
                await client.batch(photos, tmp_path, erode=9)

    asyncio.run(run())


def test_errors_are_those_of_the_service(service: str, photo: bytes, tmp_path: Path) -> None:
    with Client(service) as client:
        with pytest.raises(errors.InvalidOption, match="erode=9") as caught:
            client.matte(photo, erode=9)
        assert caught.value.__notes__[0].startswith("request ")
        with pytest.raises(errors.UnsupportedFormat):
            client.matte(b"no image")
        with pytest.raises(errors.InvalidOption, match="unknown option"):
            client.matte(photo, colour="red")
        with pytest.raises(errors.MissingImage):
            client.batch([], tmp_path)


def test_keys_are_sent(photo: bytes) -> None:
    settings = parse_settings({}, environ={"CVUNET_API_KEYS": "sesame"})
    with serving(settings) as url:
        with Client(url, api_key="sesame") as client:
            assert client.matte(photo).body
        with Client(url) as client, pytest.raises(errors.AuthFailed):
            client.matte(photo)


def test_no_service() -> None:
    with Client("http://127.0.0.1:1") as client, pytest.raises(ServiceUnreachable):
        client.matte(b"x")


def busy_until(tries: int, status: int = 503) -> tuple[Answer, list[httpx.Request]]:
    """A service that is busy at first, and the requests that it saw."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        if len(seen) < tries:
            problem = {"code": "overloaded", "detail": "busy"}
            return httpx.Response(status, json=problem, headers={"Retry-After": "7"})
        return httpx.Response(200, content=b"cutout", headers={"content-type": "image/png"})

    return answer, seen


@pytest.mark.parametrize("status", [429, 503])
def test_it_comes_back_when_told_to(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    answer, seen = busy_until(3, status)
    with Client("http://service", transport=httpx.MockTransport(answer)) as client:
        assert client.matte(b"image").body == b"cutout"
    assert slept == [7, 7]
    assert len({request.content.split(b"\r\n", 1)[1][:100] for request in seen}) == 1


def test_it_gives_up_after_its_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    answer, seen = busy_until(9)
    with (
        Client("http://service", tries=3, transport=httpx.MockTransport(answer)) as client,
        pytest.raises(errors.Overloaded) as caught,
    ):
        client.matte(b"image")
    assert (len(seen), caught.value.retry_after) == (3, 7)


def test_an_answer_that_is_no_problem_document(photo: bytes) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(502, text="<html>"))
    with (
        Client("http://service", transport=transport) as client,
        pytest.raises(errors.MattingError, match="answered 502"),
    ):
        client.matte(photo)


def test_a_zip_of_another_kind_is_refused() -> None:
    local = bytearray(b"PK\x03\x04" + bytes(26))
    local[6] = 8  # sizes come after the data
    with pytest.raises(ValueError, match="stream"):
        list(StreamedUnzip().feed(bytes(local)))


def test_importing_the_client_is_light() -> None:
    code = (
        "import sys, serve_app.client;"
        "print([m for m in ('torch', 'ray', 'cv2', 'starlette') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

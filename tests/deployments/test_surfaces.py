"""Batches and the other surfaces through Serve's proxy and its replicas."""

import io
import json
import zipfile
from pathlib import Path

import httpx
import pytest

from benchmarks.running_service import RunningService
from serve_app.client import Client
from tests.api.test_batch import SlowUpload, images, unzipped
from tests.conftest import encoded, picture


@pytest.fixture
def photo(photos: Path) -> bytes:
    return min(photos.rglob("*.jpg"), key=lambda path: path.stat().st_size).read_bytes()


def test_a_batch_with_a_bad_file(service: RunningService, tmp_path: Path) -> None:
    paths = []
    for i in range(6):
        path = tmp_path / f"{i}.png"
        path.write_bytes(encoded(picture(90 + i, 160)) if i != 2 else b"no image")
        paths.append(path)
    with Client(service.url) as client:
        report = client.batch(paths, tmp_path / "out", preset="preview")
    assert [file.name for file in report.failed] == ["2.png"]
    assert len(list((tmp_path / "out").iterdir())) == 5


def test_entries_go_out_while_images_still_come(service: RunningService) -> None:
    upload = SlowUpload(service.url)
    for i in range(9):
        upload.send(f"{i}.png", encoded(picture(64, 96 + i)))
        if i == 1:
            upload.wait_for(b"0.png")
    assert b"manifest.json" in upload.end()


def test_a_late_field_is_told(service: RunningService) -> None:
    files = [*images(("a.png", encoded(picture()))), ("format", (None, "webp"))]
    response = httpx.post(f"{service.url}/v1/matting/batch", files=files, timeout=60)
    if response.status_code == 200:  # the image was done before the field came
        manifest = unzipped(response)[1]
        assert manifest["error"]["code"] == "invalid_option"
    else:
        assert response.json()["code"] == "invalid_option"


def test_removebg_and_rembg_answer(service: RunningService, photo: bytes) -> None:
    removebg = httpx.post(
        f"{service.url}/v1.0/removebg",
        files={"image_file": photo},
        data={"format": "zip", "roi": "0% 0% 100% 100%", "scale": "80%", "shadow_type": "drop"},
        timeout=60,
    )
    assert removebg.status_code == 200, removebg.text
    assert zipfile.ZipFile(io.BytesIO(removebg.content)).namelist() == ["color.jpg", "alpha.png"]
    # Errors of a stage keep their kind on their way through the replicas.
    outside = httpx.post(
        f"{service.url}/v1.0/removebg", files={"image_file": photo}, data={"roi": "0 0 9999px 9px"}
    )
    assert outside.json()["errors"][0]["code"] == "roi_exceeds_bounds"
    rembg = httpx.post(f"{service.url}/api/remove", files={"file": photo}, timeout=60)
    assert rembg.headers["content-type"] == "image/png"


def test_the_document_is_served(service: RunningService) -> None:
    document = json.loads(httpx.get(f"{service.url}/openapi.json").content)
    assert "/v1/matting/batch" in document["paths"]

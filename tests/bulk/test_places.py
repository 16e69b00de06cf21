"""Folders here and in a store that speaks S3, over a real socket."""

import io
import resource
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import boto3
import pytest
from moto.server import ThreadedMotoServer
from PIL import Image

from serve_app.bulk.places import LocalFolder, RemoteFolder, open_folder, read_uri, without_secrets
from serve_app.bulk.plan import Task
from serve_app.bulk.work import failure
from serve_app.cli import main
from serve_app.errors import InputError
from tests.bulk.conftest import Bulk
from tests.conftest import encoded, picture


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(endpoint: str) -> str:
    """The URI of an empty bucket, with all that it takes to reach it."""
    client = boto3.client(
        "s3",
        endpoint_url=f"http://{endpoint}",
        region_name="us-east-1",
        aws_access_key_id="key",
        aws_secret_access_key="secret",
    )
    client.create_bucket(Bucket="photos")
    for found in client.list_objects_v2(Bucket="photos").get("Contents", []):
        client.delete_object(Bucket="photos", Key=found["Key"])
    return endpoint


def uri(endpoint: str, path: str) -> str:
    where = quote(endpoint, safe="")
    return f"s3://key:secret@{path}?endpoint_override={where}&scheme=http&region=us-east-1"


def test_a_store_is_a_folder(bucket: str) -> None:
    folder = open_folder(uri(bucket, "photos/in"))
    assert isinstance(folder, RemoteFolder)
    assert list(folder.files()) == []
    folder.write("a/b.png", b"first")
    folder.write("a/b.png", b"whole")
    (found,) = folder.files()
    assert (found.path, found.size) == ("a/b.png", 5)
    assert folder.read("a/b.png") == b"whole"
    assert read_uri(folder.uri("a/b.png")) == b"whole"
    assert folder.find("a/none.png") is None
    with pytest.raises(FileNotFoundError):
        folder.read("a/none.png")
    folder.remove("a/b.png")
    folder.remove("a/b.png")
    assert list(folder.files()) == []


def test_from_one_store_to_another_and_again(bucket: str, bulk: Bulk) -> None:
    source, target = uri(bucket, "photos/in"), uri(bucket, "photos/in/out")
    folder = open_folder(source)
    for number in range(3):
        folder.write(f"x/{number}.jpg", encoded(picture(), "JPEG"))
    folder.write("x/bad.jpg", b"none")
    assert bulk(source, target) == 1
    made = {found.path: found for found in open_folder(target).files()}
    assert {f"x/{number}.png" for number in range(3)} < set(made)
    with Image.open(io.BytesIO(open_folder(target).read("x/0.png"))) as image:
        assert image.size == (160, 90)
    for own in ("report.json", ".cvunet/job.json", "errors.jsonl", ".cvunet/plan/000001.jsonl"):
        text = open_folder(target).read(own).decode()
        assert "secret" not in text or own.endswith("plan/000001.jsonl"), own
    folder.remove("x/bad.jpg")
    assert bulk(source, target) == 0
    again = {found.path: found for found in open_folder(target).files()}
    assert all(again[name] == made[name] for name in made if name.startswith("x/"))
    assert "errors.jsonl" not in again


def test_the_endpoint_may_stand_in_the_environment(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_folder(uri(bucket, "photos")).write("a.jpg", b"there")
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{bucket}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    assert open_folder("s3://photos").read("a.jpg") == b"there"


def test_a_store_that_says_no_is_named(
    endpoint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = uri(endpoint, "no-such-bucket/in")
    assert main(["bulk", nowhere, str(tmp_path / "out"), "--engine", "fake"]) == 2
    told = capsys.readouterr().err
    assert "no-such-bucket" in told
    assert "secret" not in told
    assert told.count("\n") == 1


def test_secrets_are_not_shown() -> None:
    assert without_secrets("s3://key:secret@bucket/a?token=x") == "s3://bucket/a"
    assert without_secrets("photos/a.jpg") == "photos/a.jpg"
    assert without_secrets("file:///photos/a.jpg#x") == "file:///photos/a.jpg"
    assert without_secrets("http://key:secret@[::1/a.jpg?token=x") == "http://[::1/a.jpg"


def test_a_broken_uri_is_told_for_the_image() -> None:
    with pytest.raises(InputError, match=r"'http://\[::1/a.jpg' is no path and no URI") as told:
        read_uri("http://key:secret@[::1/a.jpg")
    assert failure(Task("http://[::1/a.jpg", "a.png"), told.value).code == "invalid_request"


def test_a_full_disk_leaves_nothing_and_is_told_for_the_image(tmp_path: Path) -> None:
    folder, before = LocalFolder(tmp_path), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OSError, match="too large") as told:
            folder.write("a.png", bytes(2000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    outcome = failure(Task("/photos/a.jpg", "a.png"), told.value)
    assert outcome.code == "storage_full"
    assert "make some" in outcome.detail

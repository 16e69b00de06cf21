"""Many images over one connection: order, names, failures, backpressure and early entries."""

import asyncio
import io
import json
import socket
import threading
import time
import zipfile
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from serve_app.api.archive import OutputNames, StreamedZip, safe_stem
from serve_app.api.disk_queue import DiskQueue
from serve_app.api.service import LocalMatting
from serve_app.engines.base import EngineInfo
from serve_app.engines.fake import FakeEngine
from serve_app.errors import Overloaded
from serve_app.options import Options
from serve_app.settings import Settings
from serve_app.types import Result, Upload
from tests.api.conftest import serving
from tests.conftest import encoded

URL = "/v1/matting/batch"


def square(red: int, side: int = 24) -> bytes:
    """A file whose cutout's alpha tells which one it was."""
    return encoded(np.full((side, side, 3), (red, 0, 0), np.uint8))


def images(*files: tuple[str, bytes]) -> list[tuple[str, tuple[str, bytes]]]:
    return [("image", file) for file in files]


def at_once(request: httpx.Request) -> httpx.Request:
    """Its body is sent in one piece: an image may be done before what comes in a later one."""
    request.read()
    return request


def unzipped(response: httpx.Response) -> tuple[zipfile.ZipFile, dict[str, Any]]:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/zip"
    archive = zipfile.ZipFile(io.BytesIO(response.content))
    assert archive.testzip() is None
    assert archive.namelist()[-1] == "manifest.json"
    return archive, json.loads(archive.read("manifest.json"))


def test_order_and_content(client: httpx.Client) -> None:
    files = [(f"{i}.jpg", square(100 + i, 24 if i else 600)) for i in range(12)]
    archive, manifest = unzipped(client.post(URL, files=images(*files)))
    assert archive.namelist() == [*(f"{i}.png" for i in range(12)), "manifest.json"]
    for i in range(12):
        image = Image.open(archive.open(f"{i}.png"))
        assert image.getpixel((3, 3))[3] == 100 + i
    assert manifest["files"][3] == {
        "name": "3.jpg",
        "output": "3.png",
        "status": "done",
        "bytes": archive.getinfo("3.png").file_size,
        "width": 24,
        "height": 24,
    }
    assert "error" not in manifest


def test_one_bad_file_stops_nothing(client: httpx.Client) -> None:
    files = [
        ("a.png", square(99)),
        ("b.png", b"no image"),
        ("c.png", square(50)[:60]),
        ("d.png", bytes(3_000_001)),
        ("e.png", b""),
        ("f.png", square(98)),
    ]
    archive, manifest = unzipped(client.post(URL, files=images(*files)))
    assert archive.namelist() == ["a.png", "f.png", "manifest.json"]
    codes = [entry.get("code") for entry in manifest["files"]]
    assert codes == [
        None,
        "unsupported_format",
        "invalid_image",
        "file_too_large",
        "invalid_image",
        None,
    ]
    assert manifest["files"][1]["output"] is None
    assert manifest["files"][3]["detail"].startswith("3,000,001 bytes")


def test_options_come_before_the_images_or_in_the_query(client: httpx.Client) -> None:
    fields = [("format", (None, "webp")), ("background", (None, "#00f"))]
    archive, _ = unzipped(client.post(URL, files=[*fields, *images(("a.png", square(0)))]))
    image = Image.open(archive.open("a.webp"))
    assert (image.mode, image.getpixel((2, 2))) == ("RGB", (0, 0, 255))
    queried = client.post(f"{URL}?format=jpeg", files=images(("a.png", square(200))))
    assert unzipped(queried)[0].namelist()[0] == "a.jpg"


def test_a_background_image_holds_for_all(client: httpx.Client) -> None:
    blue = encoded(np.full((9, 9, 3), (0, 0, 255), np.uint8))
    files = images(("a.png", square(0)), ("b.png", square(0)))
    archive, _ = unzipped(client.post(URL, files=[("background_image", ("x.png", blue)), *files]))
    for name in ("a.png", "b.png"):
        assert Image.open(archive.open(name)).getpixel((2, 2)) == (0, 0, 255)


@pytest.mark.parametrize(
    ("parts", "code", "words"),
    [
        ([*images(("a.png", square(9))), ("format", (None, "webp"))], "invalid_option", "after"),
        ([("erode", (None, "9")), *images(("a.png", square(9)))], "invalid_option", "erode=9"),
        ([("colour", (None, "9")), *images(("a.png", square(9)))], "invalid_option", "colour"),
        (
            [("erode", (None, "1")), ("erode", (None, "2")), *images(("a", b""))],
            "invalid_option",
            "twice",
        ),
        ([("trimap", ("t.png", square(9))), *images(("a", b""))], "invalid_option", "trimap"),
        ([("erode", (None, "1" * 2000))], "invalid_option", "longer"),
        ([("erode", (None, "1"))], "missing_image", "no image"),
    ],
)
def test_errors_before_any_output_are_the_answer(
    client: httpx.Client, parts: list[Any], code: str, words: str
) -> None:
    response = client.send(at_once(client.build_request("POST", URL, files=parts)))
    assert response.headers["content-type"] == "application/problem+json"
    assert (response.status_code, response.json()["code"]) == (400, code)
    assert words in response.json()["detail"]


def test_bodies_that_are_no_form(client: httpx.Client) -> None:
    assert client.post(URL).json()["code"] == "missing_image"
    raw = client.post(URL, content=square(9), headers={"content-type": "image/png"})
    assert raw.json()["code"] == "missing_image"
    for body in (b"", b"--x\r\nbroken", b"garbage"):
        head = {"content-type": "multipart/form-data; boundary=x"}
        assert client.post(URL, content=body, headers=head).status_code == 400


def test_names_are_cleaned_and_numbered(client: httpx.Client) -> None:
    names = [
        "../../etc/passwd.png",
        "C:\\photos\\a.png",
        "A.PNG",
        "a.jpg",
        "manifest.json",
        "..",
        "",
    ]
    archive, manifest = unzipped(client.post(URL, files=images(*((n, square(9)) for n in names))))
    assert archive.namelist()[:5] == ["passwd.png", "a.png", "A-2.png", "a-3.png", "manifest.png"]
    told = [entry["name"] for entry in manifest["files"]]
    assert told[:4] == ["../../etc/passwd.png", "a.png", "A.PNG", "a.jpg"]
    assert len(set(archive.namelist())) == 8


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ("name=image; filename=a.png; filename*=utf-8''a.png", "a.png"),  # .NET
        (
            """name=image; filename="=?utf-8?B?54yrLnBuZw==?="; filename*=utf-8''%E7%8C%AB.png""",
            "猫.png",
        ),
        ("""name="image"; filename*=UTF-8'en'%E7%8C%AB%201.png""", "猫 1.png"),  # urllib3 1.24
        ("""name="image"; filename="a.png"; filename*=utf-8''b.png""", "a.png"),
        ('name="image"; filename="猫.png"', "猫.png"),
        ('name="image"; filename="%E7%8C%AB.png"', "%E7%8C%AB.png"),
    ],
)
def test_names_as_clients_send_them(client: httpx.Client, disposition: str, name: str) -> None:
    head = f"--x\r\nContent-Disposition: form-data; {disposition}\r\n\r\n"
    body = head.encode() + square(9) + b"\r\n--x--\r\n"
    form = {"content-type": "multipart/form-data; boundary=x"}
    archive, manifest = unzipped(client.post(URL, content=body, headers=form))
    assert [entry["name"] for entry in manifest["files"]] == [name]
    assert archive.namelist() == [name, "manifest.json"]
    single = client.post(URL.removesuffix("/batch"), content=body, headers=form)
    assert single.status_code == 200, single.text


@pytest.mark.parametrize(
    ("filename", "stem"),
    [
        ("a.tar.gz", "a.tar"),
        ("猫 1.jpg", "猫 1"),
        ("a\x00b\n.png", "a_b_"),
        ("x" * 300 + ".png", "x" * 100),
        ("猫" * 90 + ".png", "猫" * 80),  # 240 bytes
        ("con.png", "_con"),
        (".hidden", "hidden"),
        ("/", "image"),
        ("a:b*c?.png", "a_b_c_"),
    ],
)
def test_stems(filename: str, stem: str) -> None:
    assert safe_stem(filename) == stem


def test_numbered_names_never_meet() -> None:
    names = OutputNames()
    given = [names.name(n, "image/png") for n in ("a-2.jpg", "a.jpg", "a.png", "A.gif")]
    assert given == ["a-2.png", "a.png", "a-3.png", "A-4.png"]
    composed, decomposed = "\u00e9", "e\u0301"  # one file on macOS
    given = [names.name(n, "image/png") for n in (composed, decomposed)]
    assert given == [f"{composed}.png", f"{decomposed}-2.png"]


def test_thousands_of_one_name_take_no_time() -> None:
    names = OutputNames()
    start = time.process_time()
    given = [names.name("blob", "image/png") for _ in range(10_000)]
    assert given[-1] == "blob-10000.png"
    assert time.process_time() - start < 2


def test_a_zip_is_read_while_it_is_written() -> None:
    stream, out = StreamedZip(), bytearray()
    for i in range(5):
        stream.add(f"{i}", bytes([i]) * 3_000_000)
        while i % 2 and (chunk := stream.take(100_000)):
            out += chunk
    stream.finish()
    while chunk := stream.take(100_000):
        out += chunk
    stream.close()
    archive = zipfile.ZipFile(io.BytesIO(out))
    assert [archive.read(f"{i}") for i in range(5)] == [bytes([i]) * 3_000_000 for i in range(5)]


class Watched:
    """A matting that notes how many are at work, can hold all of them until it is told to go on,
    and can be too busy at first.
    """

    def __init__(self, settings: Settings, held: bool = False, busy: int = 0) -> None:
        self._local = LocalMatting(FakeEngine(), settings)
        self._busy = busy
        self.held = held
        self.at_work = self.most = self.begun = self.cancelled = 0

    async def matte(self, upload: Upload, options: Options) -> Result:
        if self._busy:
            self._busy -= 1
            raise Overloaded("busy", retry_after=0)
        self.begun += 1
        self.at_work += 1
        self.most = max(self.most, self.at_work)
        try:
            while self.held:  # noqa: ASYNC110 - another thread says so
                await asyncio.sleep(0.01)
            return await self._local.matte(upload, options)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.at_work -= 1

    async def describe(self) -> EngineInfo:
        return await self._local.describe()


class SlowUpload:
    """A raw connection that sends one image at a time, and reads the answer in a thread.

    A part is over when the next one's boundary is there: images are one behind what was sent.
    """

    def __init__(self, url: str) -> None:
        host, port = url.removeprefix("http://").split(":")
        self._socket = socket.create_connection((host, int(port)), timeout=20)
        head = (
            f"POST {URL} HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n"
            "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
        )
        self._socket.sendall(head.encode())
        self.answer = b""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def send(self, name: str, data: bytes, field: str = "image") -> None:
        disposition = f'form-data; name="{field}"; filename="{name}"'
        self._chunk(f"--x\r\nContent-Disposition: {disposition}\r\n\r\n".encode() + data + b"\r\n")

    def end(self) -> bytes:
        self._chunk(b"--x--\r\n")
        self._socket.sendall(b"0\r\n\r\n")
        self._reader.join(20)
        self.close()
        return self.answer

    def close(self) -> None:
        self._socket.close()

    def abort(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._reader.join(20)
        self.close()

    def wait_for(self, words: bytes) -> None:
        deadline = time.monotonic() + 15
        while words not in self.answer:
            assert time.monotonic() < deadline, self.answer[:300]
            time.sleep(0.01)

    def _chunk(self, data: bytes) -> None:
        self._socket.sendall(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def _read(self) -> None:
        while b"\r\n0\r\n\r\n" not in self.answer[-16:] and (data := self._socket.recv(65536)):
            self.answer += data


def test_the_first_entry_is_out_before_the_tenth_image_is_sent(service: str) -> None:
    upload = SlowUpload(service)
    for i in range(9):
        upload.send(f"{i}.jpg", square(50 + i))
        if i == 1:
            upload.wait_for(b"0.png")
            assert b"200 OK" in upload.answer
    upload.send("9.jpg", square(60))
    answer = upload.end()
    assert b"9.png" in answer
    assert b"manifest.json" in answer


def test_a_field_after_output_has_begun_stands_in_the_manifest(service: str) -> None:
    upload = SlowUpload(service)
    upload.send("a.jpg", square(50))
    upload.send("b.jpg", square(50))
    upload.wait_for(b"a.png")
    upload.send("", b"webp", field="format")
    upload.send("c.jpg", square(50))
    upload.wait_for(b"came after the first image")
    assert b'"code": "invalid_option"' in upload.answer
    upload.abort()


def test_no_more_is_read_while_too_much_waits(settings: Settings) -> None:
    matting = Watched(settings, held=True)
    big = encoded(np.full((800, 800, 3), 7, np.uint8), compress_level=0)  # 1.9 MB
    limits = settings.limits.model_copy(update={"max_batch_waiting_bytes": 3_000_000})
    with serving(settings.model_copy(update={"limits": limits}), matting) as url:
        upload = SlowUpload(url)
        sent = 0

        def send() -> None:
            nonlocal sent
            for i in range(16):
                upload.send(f"{i}.png", big)
                sent += 1

        sender = threading.Thread(target=send)
        sender.start()
        early = -1
        while early < sent:  # until nothing more is taken
            early = sent
            time.sleep(0.5)
        matting.held = False
        sender.join(30)
        assert b"manifest.json" in upload.end()
    assert matting.most == settings.limits.batch_concurrency == 4
    # Four at work, two waiting, one read, and what the sockets' own buffers hold.
    assert early <= 11


def test_the_upload_is_taken_while_every_place_is_taken(settings: Settings) -> None:
    matting = Watched(settings, held=True)
    big = encoded(np.full((600, 600, 3), 7, np.uint8), compress_level=0)  # 1.1 MB
    with serving(settings, matting) as url:
        upload = SlowUpload(url)
        for i in range(20):
            upload.send(f"{i}.png", big)  # all of them more than the sockets hold
        matting.held = False
        answer = upload.end()
    assert matting.most == 4
    assert b"19.png" in answer


def test_what_waits_on_disk_comes_back_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serve_app.api.disk_queue._SEGMENT", 1000)
    monkeypatch.setattr("serve_app.api.disk_queue._IN_MEMORY", 300)
    queue = DiskQueue()
    items = [bytes([i]) * (i * 37 % 700) for i in range(60)]
    taken = []
    for i, item in enumerate(items):
        queue.put(item)
        if i % 3 == 0:
            taken.append(queue.take())
    assert queue.size == sum(len(item) for item in items[len(taken) :])
    while len(taken) < len(items):
        taken.append(queue.take())
    assert taken == items
    assert queue.size == 0
    queue.put(b"left")
    queue.close()


def test_a_client_that_reads_last_gets_everything(client: httpx.Client) -> None:
    # 24 MB out, more than the sockets hold, while httpx is still sending.
    noise = np.random.default_rng(0).integers(8, 256, (700, 700, 3), np.uint8)
    photo = encoded(noise, "JPEG", quality=30)
    archive, _ = unzipped(client.post(URL, files=images(*((f"{i}.jpg", photo) for i in range(20)))))
    assert len(archive.namelist()) == 21
    assert sum(entry.file_size for entry in archive.infolist()) > 20_000_000


def test_a_client_that_leaves_stops_the_work(settings: Settings) -> None:
    matting = Watched(settings, held=True)
    with serving(settings, matting) as url:
        upload = SlowUpload(url)
        for i in range(5):
            upload.send(f"{i}.png", square(9))
        deadline = time.monotonic() + 5
        while matting.at_work < 4 and time.monotonic() < deadline:
            time.sleep(0.01)
        upload.abort()
        while matting.at_work and time.monotonic() < deadline:
            time.sleep(0.01)
    assert (matting.cancelled, matting.at_work) == (4, 0)


def test_a_busy_service_is_asked_again(settings: Settings) -> None:
    with serving(settings, Watched(settings, busy=3)) as url:
        response = httpx.post(f"{url}{URL}", files=images(("a", square(9))), trust_env=False)
    assert unzipped(response)[1]["files"][0]["status"] == "done"


@pytest.fixture
def strict(settings: Settings) -> Iterator[str]:
    limits = settings.limits.model_copy(update={"max_batch_files": 3, "upload_idle_timeout_s": 0.3})
    with serving(settings.model_copy(update={"limits": limits})) as url:
        yield url


def test_too_many_images(strict: str) -> None:
    upload = SlowUpload(strict)
    for i in range(4):
        upload.send(f"{i}.png", square(9))
        if i == 1:
            upload.wait_for(b"0.png")
    answer = upload.end()
    assert b"over 3 images in one batch" in answer
    assert b"2.png" in answer


def test_an_upload_that_stalls_ends(strict: str) -> None:
    silent = SlowUpload(strict)
    silent.wait_for(b"upload_timeout")
    assert b"408 Request Timeout" in silent.answer
    silent.abort()
    stalled = SlowUpload(strict)
    stalled.send("a.png", square(9))
    stalled.send("b.png", square(9))
    stalled.wait_for(b"manifest.json")
    assert b"upload_timeout" in stalled.answer
    stalled.abort()

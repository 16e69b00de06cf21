"""What a batch of many images costs, and when its first entry is out.

    python -m benchmarks.batch --images 500

Starts the HTTP application in a process of its own, without Ray and with an engine that computes
nothing, so that the figures are the batch's: its memory against that of one image, and what is out
while a slow client is still sending.
"""

import argparse
import io
import json
import socket
import threading
import time
import zipfile
from collections.abc import Iterator

import cv2
import numpy as np

from benchmarks.bare_service import BareService, bare_service
from benchmarks.child import peak_memory
from serve_app.settings import parse_settings

_BOUNDARY = "a8f0c2"
_HEAD = (
    "POST /v1/matting/batch HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
    f"Content-Type: multipart/form-data; boundary={_BOUNDARY}\r\n\r\n"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--height", type=int, default=1080)
    parser.add_argument("--width", type=int, default=1920)
    arguments = parser.parse_args()
    photo = _photo(arguments.height, arguments.width)
    with bare_service(parse_settings({"model": {"engine": "fake"}}, environ={})) as service:
        send(service, photo, 1)
        one = peak_memory(service.process.pid)
        started = time.perf_counter()
        answer = send(service, photo, arguments.images)
        seconds = time.perf_counter() - started
        many = peak_memory(service.process.pid)
        first = first_entry(service, photo)
    manifest = json.loads(zipfile.ZipFile(io.BytesIO(answer)).read("manifest.json"))
    figures = {
        "images": arguments.images,
        "pixels": f"{arguments.width}x{arguments.height}",
        "done": sum(file["status"] == "done" for file in manifest["files"]),
        "upload_mb": round(arguments.images * len(photo) / 1e6, 1),
        "answer_mb": round(len(answer) / 1e6, 1),
        "seconds": round(seconds, 1),
        "peak_rss_one_mb": round(one / 1e6),
        "peak_rss_all_mb": round(many / 1e6),
        "difference_mb": round((many - one) / 1e6),
        "first_entry_out_while_sending_image": first,
    }
    print(json.dumps(figures, indent=2))


def send(service: BareService, photo: bytes, images: int) -> bytes:
    """Send a batch as fast as it goes, reading beside it; returns the ZIP."""
    with socket.create_connection(("127.0.0.1", service.port)) as connection:
        parts: list[bytes] = []
        reader = threading.Thread(target=_read, args=(connection, parts))
        reader.start()
        for data in _body(photo, images):
            connection.sendall(data)
        reader.join()
    return _unchunked(b"".join(parts))


def first_entry(service: BareService, photo: bytes) -> int:
    """Send an image every 0.5 s; returns which one was being sent when the first entry came."""
    with socket.create_connection(("127.0.0.1", service.port)) as connection:
        parts: list[bytes] = []
        reader = threading.Thread(target=_read, args=(connection, parts))
        reader.start()
        seen = 0
        for number, data in enumerate(_body(photo, 12)):
            half = len(data) // 2
            connection.sendall(data[:half])
            time.sleep(0.5)
            if not seen and any(b"0.png" in part for part in parts):
                seen = number  # the first piece is the request's head
            connection.sendall(data[half:])
        reader.join()
    return seen


def _body(photo: bytes, images: int) -> Iterator[bytes]:
    yield _HEAD.encode()
    for i in range(images):
        head = (
            f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="image"; '
            f'filename="{i}.jpg"\r\n\r\n'
        )
        yield _chunk(head.encode() + photo + b"\r\n")
    yield _chunk(f"--{_BOUNDARY}--\r\n".encode()) + b"0\r\n\r\n"


def _chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def _read(connection: socket.socket, parts: list[bytes]) -> None:
    tail = b""
    while not tail.endswith(b"\r\n0\r\n\r\n") and (data := connection.recv(1 << 20)):
        parts.append(data)
        tail = (tail + data)[-16:]


def _unchunked(answer: bytes) -> bytes:
    head, _, rest = answer.partition(b"\r\n\r\n")
    if b" 200 " not in head.split(b"\r\n")[0]:
        raise SystemExit(answer[:500].decode("latin-1"))
    body, start = bytearray(), 0
    while size := int(rest[start : (end := rest.index(b"\r\n", start))], 16):
        body += rest[end + 2 : end + 2 + size]
        start = end + 2 + size + 2
    return bytes(body)


def _photo(height: int, width: int) -> bytes:
    y, x = np.mgrid[:height, :width]
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0], image[..., 1] = x % 256, y % 256
    image[(y - height / 2) ** 2 + (x - width / 2) ** 2 < (height / 3) ** 2, 2] = 250
    return cv2.imencode(".jpg", image)[1].tobytes()


if __name__ == "__main__":
    main()

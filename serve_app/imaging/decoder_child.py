"""The program that decodes other people's files: `python -m serve_app.imaging.decoder_child FD`.

It is started by `isolated.py` and knows nothing but one socket. Each message on it is a JSON object
and a file descriptor that holds the upload; each answer is a JSON object, and on success a sealed
descriptor that holds the pixels: `[H, W, 3]` and behind them, where there is alpha, `[H, W]`.

The kernel ends it where a decoder does not return: SIGALRM is left at its default action, which
stops C code too, and RLIMIT_DATA makes allocations fail.
"""

import fcntl
import json
import os
import resource
import signal
import socket
import sys

import cv2

from serve_app.errors import MattingError
from serve_app.imaging.decode import decode
from serve_app.settings import Limits
from serve_app.types import Source

MAX_MESSAGE = 65_536  # bytes

SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL

# What a decoder may take: the interpreter and its libraries, and the copies of the image that the
# hungriest way makes (a 32-bit greyscale TIFF through float64).
_BASE_BYTES = 500_000_000
_BYTES_PER_PIXEL = 40


def main() -> None:
    cv2.setNumThreads(1)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    connection = socket.socket(fileno=int(sys.argv[1]))
    connection.send(b"ready")
    # Libraries write a line for each fault of a file: strangers must not fill the log.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    while True:
        message, descriptors, _, _ = socket.recv_fds(connection, MAX_MESSAGE, 1)
        if not message:  # whoever asked is gone
            return
        with os.fdopen(descriptors[0], "rb") as file:
            data = file.read()
        _answer(connection, data, Limits.model_validate_json(message))


def memory_limit(limits: Limits) -> int:
    """Bytes that decoding one image may take."""
    return _BASE_BYTES + _BYTES_PER_PIXEL * limits.max_pixels


def _answer(connection: socket.socket, data: bytes, limits: Limits) -> None:
    _bound_memory(limits)
    signal.setitimer(signal.ITIMER_REAL, limits.decode_timeout_s)
    try:
        source = decode(data, limits)
        descriptor = _written(source)
    except MattingError as exc:
        connection.send(json.dumps({"error": type(exc).__name__, "detail": exc.detail}).encode())
        return
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    height, width = source.size
    answer = {"size": [height, width], "alpha": source.alpha is not None, "dpi": source.dpi}
    socket.send_fds(connection, [json.dumps(answer).encode()], [descriptor])
    os.close(descriptor)


def _bound_memory(limits: Limits) -> None:
    for kind, most in (
        (resource.RLIMIT_DATA, memory_limit(limits)),
        (resource.RLIMIT_FSIZE, 4 * limits.max_pixels),  # of the pixels that go back
    ):
        resource.setrlimit(kind, (most, resource.getrlimit(kind)[1]))


def _written(source: Source) -> int:
    """Put the pixels into memory that nobody can change any more."""
    descriptor = os.memfd_create("pixels", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    for array in (source.image, source.alpha):
        left = memoryview(b"") if array is None else array.reshape(-1).data
        while left:
            left = left[os.write(descriptor, left) :]
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, SEALS)
    return descriptor


if __name__ == "__main__":
    main()

"""Decoding in a process of its own, which can be killed: no file can hang or blow up its caller.

A thread's timeout cannot stop a decoder that is busy in C, and a file of kilobytes can keep one
busy for minutes or make it ask for gigabytes. The child (`decoder_child.py`) is kept warm, has a
bound on its time and on its memory, and is replaced when it dies. Pixels come back in shared
memory, which is mapped and not copied: 2.5 ms of CPU for a JPEG of 1024x576, about 40 for one of
4096x2304. That is a small part of what such a photo costs, so every file goes this way and no
rule has to tell harmless ones apart. The command line decodes directly: the files are its user's.
"""

import fcntl
import json
import logging
import mmap
import os
import signal
import socket
import subprocess
import sys
import threading
from typing import Any

import numpy as np

from serve_app.errors import (
    DeadlineExceeded,
    FileTooLarge,
    ImageTooLarge,
    InputError,
    InternalError,
    InvalidImage,
    Overloaded,
    SideTooLong,
    UnsupportedFormat,
)
from serve_app.imaging.decoder_child import MAX_MESSAGE, SEALS
from serve_app.settings import Limits
from serve_app.types import Source

logger = logging.getLogger("ray.serve.cvunet")

_START_TIMEOUT_S = 60
_GRACE_S = 2  # the child ends itself at its deadline; where it did not, it is killed so much later

_ERRORS: dict[str, type[InputError]] = {
    error.__name__: error
    for error in (InvalidImage, UnsupportedFormat, FileTooLarge, ImageTooLarge, SideTooLong)
}


class IsolatedDecoder:
    """`decode` in a child process. One image at a time; other threads wait for their turn."""

    def __init__(self) -> None:
        """Start the child, so that the first image need not wait for it."""
        self._turn = threading.Lock()
        self._child = _Child()
        self._child.wait_until_ready()

    def __call__(self, data: bytes, limits: Limits) -> Source:
        """Decode the first frame of an image file, as `decode` does.

        Raises:
            InputError: as `decode`; InvalidImage too for a file that breaks the decoder.
            DeadlineExceeded: it took over `limits.decode_timeout_s`; the decoder was stopped.
            Overloaded: the child was killed by someone else, and its successor as well.
        """
        with self._turn:
            try:
                return self._decode(data, limits)
            except _Killed:
                logger.warning("a decoder was killed from outside: trying its image once more")
            try:
                return self._decode(data, limits)
            except _Killed as exc:
                raise Overloaded(
                    "the machine is short of memory: try again later", retry_after=5
                ) from exc

    def close(self) -> None:
        """End the child."""
        self._child.end(0)

    @property
    def pid(self) -> int:
        """The present child."""
        return self._child.process.pid

    def _decode(self, data: bytes, limits: Limits) -> Source:
        try:
            answer, descriptor = self._child.ask(data, limits)
        except OSError as exc:  # it did not even answer at its deadline, or has gone
            raise self._replace(limits, stuck=isinstance(exc, TimeoutError)) from exc
        if "error" in answer:
            raise _ERRORS[answer["error"]](answer["detail"])
        with os.fdopen(descriptor, "rb") as file:
            return _mapped(file.fileno(), answer)

    def _replace(self, limits: Limits, stuck: bool) -> Exception:
        """Put a new child in the place of one that ended, and say what its end means."""
        status = self._child.end(_GRACE_S if not stuck else 0)
        self._child = _Child()
        ended_by = signal.SIGALRM if stuck else -status
        name = signal.Signals(ended_by).name if ended_by > 0 else f"exit status {status}"
        logger.warning("a decoder ended: %s", name)
        return _meaning(ended_by, limits)


class _Killed(Exception):
    """By SIGKILL, which is not the file's doing: the kernel was out of memory, or an operator."""


def _meaning(ended_by: int, limits: Limits) -> Exception:
    if ended_by == signal.SIGALRM:
        return DeadlineExceeded(
            f"decoding took over limits.decode_timeout_s = {limits.decode_timeout_s:g} s and was "
            "stopped: save the image again as a plain JPEG or PNG, or send a smaller one"
        )
    if ended_by == signal.SIGKILL:
        return _Killed()
    if ended_by > 0:
        return InvalidImage(
            "the decoder broke down on this file: save it again as a plain JPEG or PNG"
        )
    return InternalError("the decoder could not be run: the service's log has the cause")


class _Child:
    """A running decoder."""

    def __init__(self) -> None:
        self._connection, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self.process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", "serve_app.imaging.decoder_child", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=_environment(),
                start_new_session=True,  # Ctrl+C in a terminal is for the service, which ends it
            )
        self._ready = False

    def wait_until_ready(self) -> None:
        """Wait until it has its libraries. Raises OSError."""
        if not self._ready:
            self._receive(_START_TIMEOUT_S)
            self._ready = True

    def ask(self, data: bytes, limits: Limits) -> tuple[dict[str, Any], int]:
        """Let it decode; gives its answer and a descriptor, -1 for an error. Raises OSError."""
        self.wait_until_ready()
        with os.fdopen(os.memfd_create("upload"), "w+b", buffering=0) as file:
            file.write(data)
            file.seek(0)
            socket.send_fds(self._connection, [limits.model_dump_json().encode()], [file.fileno()])
        message, descriptor = self._receive(limits.decode_timeout_s + _GRACE_S)
        return json.loads(message), descriptor

    def end(self, grace_s: float) -> int:
        """See it end, or kill it; gives its exit status."""
        self._connection.close()
        try:
            return self.process.wait(grace_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
        return self.process.wait()

    def _receive(self, timeout_s: float) -> tuple[bytes, int]:
        self._connection.settimeout(timeout_s)
        message, descriptors, _, _ = socket.recv_fds(self._connection, MAX_MESSAGE, 1)
        if not message:
            raise ConnectionError("the decoder has ended")
        return message, descriptors[0] if descriptors else -1


def _environment() -> dict[str, str]:
    """What the interpreter needs and no more: what decodes strangers' files holds no secrets."""
    kept = ("PATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "LANG", "TZ")
    return {
        **{name: os.environ[name] for name in kept if name in os.environ},
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        # Frames of usual photos stay on the heap: taking fresh pages for each costs 2 ms at 1 MP.
        "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
        "MALLOC_TRIM_THRESHOLD_": str(128 << 20),
    }


def _mapped(descriptor: int, answer: dict[str, Any]) -> Source:
    """The pixels where the child has put them; the arrays are read-only."""
    height, width = answer["size"]
    pixels = height * width
    total = pixels * (4 if answer["alpha"] else 3)
    # Without its seals the child could change or cut off the memory beneath our arrays.
    sealed = fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) & SEALS == SEALS
    if not sealed or os.fstat(descriptor).st_size != total:
        raise InternalError("the decoder's answer is not what it says: the file was refused")
    memory = mmap.mmap(
        descriptor, total, flags=mmap.MAP_PRIVATE | mmap.MAP_POPULATE, prot=mmap.PROT_READ
    )
    values = np.frombuffer(memory, np.uint8)
    image = values[: 3 * pixels].reshape(height, width, 3)
    alpha = values[3 * pixels :].reshape(height, width) if answer["alpha"] else None
    return Source(image, alpha, tuple(answer["dpi"]) if answer["dpi"] else None)

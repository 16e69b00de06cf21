"""A decoder in a process of its own: the same pixels, and every way in which it can end."""

import io
import os
import signal
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from serve_app.errors import DeadlineExceeded, ImageTooLarge, InputError, InvalidImage, Overloaded
from serve_app.imaging.decode import decode
from serve_app.imaging.decoder_child import memory_limit
from serve_app.imaging.header import read_error
from serve_app.imaging.isolated import IsolatedDecoder
from serve_app.settings import Limits
from tests.conftest import encoded, picture

LIMITS = Limits()
PATIENT = LIMITS.model_copy(
    update={"max_jpeg_scans": 100_000, "max_bytes": 50_000_000, "decode_timeout_s": 60.0}
)


@pytest.fixture(scope="module")
def decoder() -> Iterator[IsolatedDecoder]:
    decoder = IsolatedDecoder()
    yield decoder
    decoder.close()


def endless(scans: int = 10_000, side: int = 800) -> bytes:
    """A small JPEG that goes over the whole image again and again."""
    body = io.BytesIO()
    Image.fromarray(picture(side, side)).save(body, "JPEG", progressive=True, quality=5)
    data = body.getvalue()
    first = data.index(b"\xff\xda")
    second = data.index(b"\xff", data.index(b"\xff\xda", first) + 14)
    while data[second + 1] in (0x00, *range(0xD0, 0xD8)):
        second = data.index(b"\xff", second + 1)
    return data[:first] + data[first:second] * scans + data[second:]


def greedy_tiff(side: int = 40_000) -> bytes:
    """A TIFF of 100 x 100 px, in a tile of 1.6 GB."""
    tile = zlib.compress(bytes(1000))
    tags = {256: 100, 257: 100, 258: 8, 259: 8, 262: 1, 277: 1, 322: side, 323: side, 324: 8}
    tags[325] = len(tile)
    directory = struct.pack("<H", len(tags))
    directory += b"".join(struct.pack("<HHII", tag, 4, 1, tags[tag]) for tag in tags) + bytes(4)
    return b"II*\0" + struct.pack("<I", 8 + len(tile)) + tile + directory


def gone(pid: int, within_s: float = 10) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF"])
def test_the_pixels_are_the_same(decoder: IsolatedDecoder, format: str) -> None:
    data = encoded(picture(), format, dpi=(300, 72))
    expected, found = decode(data, LIMITS), decoder(data, LIMITS)
    assert np.array_equal(found.image, expected.image)
    assert found.image.flags.c_contiguous
    assert (found.alpha, found.dpi) == (None, expected.dpi)


def test_alpha_comes_along(decoder: IsolatedDecoder) -> None:
    rgba = np.dstack([picture(), np.tile(np.arange(160, dtype=np.uint8), (90, 1))])
    expected, found = decode(encoded(rgba), LIMITS), decoder(encoded(rgba), LIMITS)
    assert np.array_equal(found.image, expected.image)
    assert np.array_equal(found.alpha, expected.alpha)
    assert found.alpha[0, 77] == 77


def test_its_errors_are_the_decoders(decoder: IsolatedDecoder) -> None:
    before = decoder.pid
    for data in (b"", b"hello", b"\xff\xd8\xff\xe0", encoded(np.zeros((1, 16_385), np.uint8))):
        with pytest.raises(InputError) as expected:
            decode(data, LIMITS)
        with pytest.raises(type(expected.value)) as found:
            decoder(data, LIMITS)
        assert found.value.detail == expected.value.detail
    assert decoder.pid == before


def test_an_image_stays_when_others_follow(decoder: IsolatedDecoder) -> None:
    first = decoder(encoded(picture()), LIMITS)
    decoder(encoded(255 - picture()), LIMITS)
    assert np.array_equal(first.image, picture())


def test_a_decoder_that_does_not_return_is_ended(decoder: IsolatedDecoder) -> None:
    before = decoder.pid
    start = time.monotonic()
    with pytest.raises(DeadlineExceeded, match=r"decode_timeout_s = 0\.3 s.*save the image again"):
        decoder(endless(), PATIENT.model_copy(update={"decode_timeout_s": 0.3}))
    assert time.monotonic() - start < 10
    assert gone(before)
    assert np.array_equal(decoder(encoded(picture()), LIMITS).image, picture())


def test_one_that_ignores_its_own_alarm_is_killed(decoder: IsolatedDecoder) -> None:
    before = decoder.pid
    os.kill(before, signal.SIGSTOP)  # a stopped process takes no SIGALRM either
    with pytest.raises(DeadlineExceeded):
        decoder(encoded(picture()), LIMITS.model_copy(update={"decode_timeout_s": 0.1}))
    assert gone(before)
    assert decoder(encoded(picture()), LIMITS).size == (90, 160)


def test_memory_is_bounded(decoder: IsolatedDecoder) -> None:
    limits = LIMITS.model_copy(update={"max_pixels": 1_000_000})
    with pytest.raises(InputError):
        decoder(greedy_tiff(), limits)
    assert peak_memory(decoder.pid) < memory_limit(limits) < 600_000_000
    assert decoder(encoded(picture()), LIMITS).size == (90, 160)


def peak_memory(pid: int) -> int:
    """Bytes of memory that a process ever had."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def test_memory_that_is_not_given_is_told() -> None:
    error = read_error(MemoryError(), "PNG")
    assert isinstance(error, ImageTooLarge)
    assert "takes more memory" in error.detail


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS])
def test_a_crash_is_the_files_fault(decoder: IsolatedDecoder, number: signal.Signals) -> None:
    with ending_it(decoder, number), pytest.raises(InvalidImage, match="broke down"):
        decoder(endless(), PATIENT)
    assert decoder(encoded(picture()), LIMITS).size == (90, 160)


def test_a_killed_decoder_costs_no_image(decoder: IsolatedDecoder) -> None:
    before = decoder.pid
    os.kill(before, signal.SIGSTOP)
    with ending_it(decoder, signal.SIGKILL):
        assert np.array_equal(decoder(encoded(picture()), LIMITS).image, picture())
    assert decoder.pid != before


def test_one_that_is_always_killed_says_try_later(decoder: IsolatedDecoder) -> None:
    with (
        ending_it(decoder, signal.SIGKILL, times=2),
        pytest.raises(Overloaded, match="short of memory"),
    ):
        decoder(endless(), PATIENT)
    assert decoder(encoded(picture()), LIMITS).size == (90, 160)


@contextmanager
def ending_it(decoder: IsolatedDecoder, number: signal.Signals, times: int = 1) -> Iterator[None]:
    """Send the child a signal once it has something to do, and its successors as well."""

    def send() -> None:
        time.sleep(0.2)
        for _ in range(times):
            child = decoder.pid
            os.kill(child, number)
            while decoder.pid == child and not done.wait(0.005):
                pass

    done = threading.Event()
    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(30)


def test_threads_take_turns(decoder: IsolatedDecoder) -> None:
    found: dict[int, bool] = {}

    def ask(red: int) -> None:
        image = np.full((40, 30, 3), red, np.uint8)
        found[red] = np.array_equal(decoder(encoded(image), LIMITS).image, image)

    threads = [threading.Thread(target=ask, args=(red,)) for red in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert found == dict.fromkeys(range(8), True)


def test_nothing_is_left_open(decoder: IsolatedDecoder) -> None:
    def held() -> tuple[int, int]:
        here, child = psutil.Process(), psutil.Process(decoder.pid)
        maps = [m for m in here.memory_maps(grouped=False) if "memfd" in m.path]
        return len(maps) + here.num_fds(), child.num_fds()

    decoder(encoded(picture()), LIMITS)
    before = held()
    for _ in range(20):
        decoder(encoded(picture()), LIMITS)
        with pytest.raises(InvalidImage):
            decoder(b"\xff\xd8\xff\xe0", LIMITS)
    assert held() == before


def test_the_child_knows_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CVUNET_API_KEYS", "secret-key")
    decoder = IsolatedDecoder()
    try:
        assert "CVUNET_API_KEYS" in os.environ
        assert "CVUNET_API_KEYS" not in psutil.Process(decoder.pid).environ()
    finally:
        decoder.close()
    assert gone(decoder.pid)


def test_the_child_ends_with_its_parent() -> None:
    code = (
        "import os\nfrom serve_app.imaging.isolated import IsolatedDecoder\n"
        "print(IsolatedDecoder().pid, flush=True)\nos._exit(0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert gone(int(done.stdout))

"""The peers' servers: started on a free port of loopback, ended with all that they started."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from benchmarks.peers.environment import FOLDER, peers_environment, peers_python
from benchmarks.running_service import free_port

_HERE = Path(__file__).parent
_START_TIMEOUT_S = 240
_STOP_TIMEOUT_S = 20


@dataclass(frozen=True)
class Server:
    """A running one."""

    url: str
    process: psutil.Process


@contextmanager
def rembg_server() -> Iterator[Server]:
    """`rembg s` as it comes; without its page, which needs a second framework."""
    port = free_port()
    script = str(peers_python().with_name("rembg"))
    command = [script, "s", "--host", "127.0.0.1", "--port", str(port), "--no-ui"]
    with _server([*command, "--log_level", "error"], port, with_product=False) as server:
        yield server


@contextmanager
def litserve_server(workers: int) -> Iterator[Server]:
    port = free_port()
    command = [str(_HERE / "litserve_app.py"), str(port), str(workers)]
    with _server(command, port, with_product=True) as server:
        yield server


@contextmanager
def bentoml_server(workers: int) -> Iterator[Server]:
    port = free_port()
    command = ["-m", "bentoml", "serve", "bento_service:Matting", "--working-dir", str(_HERE)]
    address = ["--host", "127.0.0.1", "--port", str(port)]
    with _server([*command, *address], port, with_product=True, WORKERS=str(workers)) as server:
        yield server


@contextmanager
def _server(
    command: Sequence[str], port: int, *, with_product: bool, **variables: str
) -> Iterator[Server]:
    log = FOLDER / "server.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [peers_python(), *command],
            env={**peers_environment(with_product=with_product), **variables},
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=FOLDER,
            start_new_session=True,  # a group of its own, to be ended whole
        )
    try:
        _wait(process, f"http://127.0.0.1:{port}", log)
        yield Server(f"http://127.0.0.1:{port}", psutil.Process(process.pid))
    finally:
        _end(process)


def _wait(process: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            httpx.get(url, timeout=5)
        except httpx.TransportError:
            time.sleep(0.5)
        else:
            return  # whatever it answers: it listens
    tail = log.read_text("utf-8", "replace")[-3000:]
    raise RuntimeError(f"a peer's server does not start:\n{tail}")


def _end(process: "subprocess.Popen[bytes]") -> None:
    started = [process.pid, *(c.pid for c in _children(process.pid))]
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        try:
            process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            continue
    for pid in started:
        if pid != process.pid and psutil.pid_exists(pid):
            psutil.Process(pid).kill()


def _children(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []

"""nginx with the shipped configuration before a service of our own."""

import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.running_service import free_port
from serve_app.settings import ROOT

CONFIGS = ROOT / "configs" / "nginx"
_START_S = 15


def for_many_clients(service: str) -> str:
    """`service.conf` but for the connections of one address: all clients of a test have one."""
    return re.sub(r"(limit_conn\s+cvunet_clients) \d+;", r"\1 1000;", service)


@contextmanager
def nginx_front(url: str, change: Callable[[str], str] = for_many_clients) -> Iterator[str | None]:
    """Run nginx before the service at `url`; gives its base URL, None where there is no nginx.

    Args:
        url: of the service.
        change: what to make of `configs/nginx/service.conf` first.
    """
    program = find_nginx()
    if program is None:
        yield None
        return
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="nginx") as name:
        folder = Path(name)
        service = folder / "service.conf"
        service.write_text(change((CONFIGS / "service.conf").read_text("utf-8")), "utf-8")
        server = f"server {{ listen 127.0.0.1:{port}; include {service}; }}"
        http = re.sub(r"(?ms)^server \{.*", server, (CONFIGS / "cvunet.conf").read_text("utf-8"))
        http = http.replace("127.0.0.1:8000", urlsplit(url).netloc)
        with running_nginx(program, folder, http, port):
            yield f"http://127.0.0.1:{port}"


@contextmanager
def running_nginx(program: str, folder: Path, http: str, port: int) -> Iterator[None]:
    """Run nginx with what stands in its `http` block, all it writes below `folder`."""
    temps = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi")
    )
    config = folder / "nginx.conf"
    config.write_text(
        ("user root;\n" if os.geteuid() == 0 else "")  # its workers write below our folder
        + f"daemon off; pid {folder}/pid; error_log {folder}/error.log;\n"
        f"events {{ worker_connections 2048; }}\n"
        f"http {{ access_log off; {temps} uwsgi_temp_path {folder}/uwsgi; "
        f"scgi_temp_path {folder}/scgi;\n{http}\n}}\n",
        "utf-8",
    )
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            [program, "-p", folder, "-c", config], stdout=output, stderr=output
        )
    try:
        _wait_for(port, process, folder)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()


def find_nginx() -> str | None:
    """Debian has it in /usr/sbin, which is not on every user's path."""
    return shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


def _wait_for(port: int, process: "subprocess.Popen[bytes]", folder: Path) -> None:
    deadline = time.monotonic() + _START_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"nginx did not start: {(folder / 'output').read_text('utf-8')}")

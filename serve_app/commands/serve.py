"""`cvunet serve`: `serve run` with safe defaults, a word on where it listens, and an end that
loses no request.
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import yaml

from serve_app.commands.children import (
    adopt_orphans,
    children,
    end_children,
    interrupted_with_parent,
    wait_for,
)
from serve_app.commands.fit import cores_here, fitted
from serve_app.commands.opening import check_opening
from serve_app.commands.serve_config import (
    http_address,
    our_applications,
    read_config,
    replica_variables,
)
from serve_app.drain import announce_end, wait_until_idle
from serve_app.engines import check_anywhere
from serve_app.errors import SettingsError
from serve_app.models.integrity import check_file
from serve_app.settings import ROOT, ModelSettings, Settings, parse_settings, resolve_path

# What the environment already says wins over these.
_DEFAULTS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "disabled",  # Ray listens on loopback only; see the README for a cluster
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # keeps Ray's own ports on 127.0.0.1
    # Our replicas never block their event loop; passing each request between two loops costs a
    # tenth of all CPU time.
    "RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD": "0",
    "RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP": "0",
    # At Ray's 15, whatever else runs on the machine takes most of the cores from the proxy and all
    # replicas.
    "RAY_worker_niceness": "0",
    # A dead proxy fails its checks at once, whatever their timeout: it is back in 5 s, not in 32.
    # One that is merely slow to answer, or to start, must not be taken for dead.
    "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": "0.5",
    "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "30",
    "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "serve_app.deployments.proxy:middleware",
}
_RAYLET = "raylet"  # Ray's daemon, which starts replicas; neither Ray nor Serve ends when it dies
_DASHBOARD_PORT = 8265  # Ray's own choice; where it is taken, the next one that is free
_POLL_S = 0.25
# After the last request is answered: its answer gets through the proxy, and readiness probes see
# the end coming.
_SETTLE_S = 2.0


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "serve",
        help="start the service on this machine",
        description="Run `serve run CONFIG` on this machine and say when and where it is ready.",
    )
    parser.add_argument(
        "config",
        type=Path,
        nargs="?",
        default=ROOT / "serve_config.yaml",
        metavar="CONFIG",
        help="Serve config file (serve_config.yaml)",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Start the service; it ends with Ctrl+C or SIGTERM, and takes its Ray along."""
    config = read_config(arguments.config)
    host, port = http_address(config)
    if not _joins_cluster():
        _check_port(host, port)
    drain_s = _checked(config).drain.timeout_s
    with tempfile.TemporaryDirectory(prefix="cvunet") as folder:
        file = Path(os.environ.get("CVUNET_DRAIN_FILE") or Path(folder, "drain"))
        file.write_bytes(b"")
        dashboard = _dashboard()
        not_ours = children()
        adopt_orphans()
        process = _serve_run(_for_this_machine(arguments.config, config, Path(folder)), file)
        threading.Thread(
            target=_announce, args=(_base_url(host, port), dashboard, process), daemon=True
        ).start()
        asked = threading.Event()
        on_end = _end_once_idle(process, file, drain_s, asked)
        signal.signal(signal.SIGTERM, on_end)
        signal.signal(signal.SIGINT, on_end)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup sets it
            signal.signal(signal.SIGHUP, on_end)
        status = wait_for(process, needs=_RAYLET)
        if status is None:
            _say("Ray's daemon on this machine has died: ending")
        end_children(but=not_ours)
        # `serve run` says 0 of what it could not deploy, too: a supervisor would leave it ended.
        return status or (0 if status == 0 and asked.is_set() else 1)


def _joins_cluster() -> bool:
    return bool(os.environ.get("RAY_ADDRESS"))


def _for_this_machine(path: Path, config: dict[str, Any], folder: Path) -> Path:
    """The config's file; where a Ray is started here, a copy of it with replicas that fit.

    Without a word on the host Serve would listen on every interface.
    """
    if _joins_cluster():
        return path
    host, _ = http_address(config)
    http = {**(config.get("http_options") or {}), "host": host}
    copy = folder / path.name
    fit = fitted({**config, "http_options": http}, cores_here())
    copy.write_text(yaml.safe_dump(fit), "utf-8")
    return copy


def _serve_run(config: Path, drain_file: Path) -> "subprocess.Popen[bytes]":
    # A shell's background job ignores SIGINT; `serve run` would inherit that and never end.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    command = [str(Path(sys.executable).with_name("serve")), "run", str(config)]
    if not _joins_cluster():
        command.append("--address=local")  # not any Ray that was started on this machine
    environment = _DEFAULTS | os.environ | {"CVUNET_DRAIN_FILE": str(drain_file)}
    # In a group of its own: Ctrl+C comes here alone, and `serve run` hears of it in its time, or
    # when this process is killed: a service that nobody can end would keep its ports.
    return subprocess.Popen(  # noqa: S603
        command,
        env=environment,
        process_group=0,
        preexec_fn=interrupted_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509
    )


def _end_once_idle(
    process: "subprocess.Popen[bytes]", file: Path, drain_s: float, asked: threading.Event
) -> Callable[[int, FrameType | None], None]:
    """What to do on a signal: the first one lets requests finish, the second one does not."""

    # `serve run` shuts the application down on SIGINT only; on SIGTERM it would leave it serving,
    # where Ray is not its own. It kills the proxy first, and with it whatever is in flight.
    def end() -> None:
        announce_end(file)
        _say(f"ending: requests in flight have {drain_s:g} s; a second signal ends at once")
        if not wait_until_idle(file, drain_s):
            _say(f"requests are still in flight after {drain_s:g} s and are lost")
        time.sleep(_SETTLE_S)
        process.send_signal(signal.SIGINT)

    def on_signal(*_: object) -> None:
        if asked.is_set():
            process.send_signal(signal.SIGINT)
        else:
            asked.set()
            threading.Thread(target=end, daemon=True).start()

    return on_signal


def _checked(config: dict[str, Any]) -> Settings:
    """Say now what would keep a replica from starting: Serve would try it again and again.

    Returns:
        The settings of our application, the first where there are several.

    Raises:
        SettingsError: a key of ours is unknown, or breaks its rule.
        CheckpointError: the checkpoint is not there, or not whole.
        EngineError: the network's engine does not open.
    """
    found = []
    for application in our_applications(config):
        settings = parse_settings(application.get("args") or {})
        _check_model(settings.model, application)
        found.append(settings)
    return found[0] if found else Settings()


def _check_model(settings: ModelSettings, application: dict[str, Any]) -> None:
    if settings.engine == "fake":
        return
    check_file(resolve_path(settings.model_path))
    if _joins_cluster():  # the replica may run where there is another device
        check_anywhere(settings)
    else:
        check_opening(settings, replica_variables(application))


def _check_port(host: str, port: int) -> None:
    """See that nobody has the port: Serve would not start, and whoever has it might say 'ready'."""
    if fault := _taken(host, port):
        raise SettingsError(
            f"http_options: port {port} of {host} cannot be listened on ({fault}): end what "
            "listens there, or set another port"
        )


def _taken(host: str, port: int) -> str:
    """Why a port cannot be listened on; empty where it can."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as Serve does
        try:
            probe.bind((host, port))
        except OSError as exc:
            return exc.strerror or str(exc)
    return ""


def _base_url(host: str, port: int) -> str:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _dashboard() -> str:
    """Where Ray's dashboard will be, to be asked before Ray starts."""
    if _joins_cluster():
        return "of the cluster that RAY_ADDRESS names"
    if _taken("127.0.0.1", _DASHBOARD_PORT):
        return "where Ray's own line above says: another Ray has the usual port"
    return f"http://127.0.0.1:{_DASHBOARD_PORT}/#/serve"


def _announce(base: str, dashboard: str, process: "subprocess.Popen[bytes]") -> None:
    """Wait for readiness, then say what a newcomer needs."""
    while process.poll() is None and not _is_ready(base):
        time.sleep(_POLL_S)
    if process.poll() is None:
        print(
            f"\n  ready       {base}"
            f"\n  web page    {base}/"
            f"\n  dashboard   {dashboard}"
            f"\n  try         curl -F image=@photo.jpg {base}/v1/matting -o cutout.png"
            f"\n  stop        Ctrl+C\n",
            flush=True,
        )


def _say(text: str) -> None:
    print(f"cvunet: {text}", flush=True)


def _is_ready(base: str) -> bool:
    try:
        with urllib.request.urlopen(f"{base}/readyz", timeout=2) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False

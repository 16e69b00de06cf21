"""`cvunet serve`: `serve run` with safe defaults, and a word on where it listens."""

import argparse
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import yaml

from serve_app.errors import SettingsError
from serve_app.models.integrity import check_file
from serve_app.settings import ROOT, parse_settings, resolve_path

# What the environment already says wins over these.
_DEFAULTS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "disabled",  # Ray listens on loopback only; see the README for a cluster
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # keeps Ray's own ports on 127.0.0.1
    "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": "1",  # a killed proxy is back in 5 s, not in 32
    "RAY_SERVE_PROXY_HEALTH_CHECK_TIMEOUT_S": "2",
    # Our replicas never block their event loop; passing each request between two loops costs a
    # tenth of all CPU time.
    "RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD": "0",
    "RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP": "0",
}
_IMPORT_PATH = "serve_app.app:build_app"
_POLL_S = 0.25


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
    config = _read(arguments.config)
    base = _base_url(config)
    _check_applications(config)
    # A shell's background job ignores SIGINT; `serve run` would inherit that and never end.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    command = [str(Path(sys.executable).with_name("serve")), "run", str(arguments.config)]
    process = subprocess.Popen(command, env=_DEFAULTS | os.environ)  # noqa: S603
    # `serve run` shuts the application down on SIGINT only; on SIGTERM it would leave it serving.
    signal.signal(signal.SIGTERM, lambda *_: process.send_signal(signal.SIGINT))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to `serve run` as well
    threading.Thread(target=_announce, args=(base, process), daemon=True).start()
    return process.wait()


def _read(config: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(config.read_text("utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as exc:
        raise SettingsError(f"Serve config '{config}' cannot be read: {exc}") from exc
    if not isinstance(values, dict):
        raise SettingsError(f"Serve config '{config}' must hold keys and values, not {values!r}")
    return values


def _check_applications(config: dict[str, Any]) -> None:
    """Say now what would keep a replica from starting: Serve would try it again and again.

    Raises:
        SettingsError: a key of ours is unknown, or breaks its rule.
        CheckpointError: the checkpoint is not there, or not whole.
    """
    for application in config.get("applications") or []:
        if application.get("import_path") == _IMPORT_PATH:
            settings = parse_settings(application.get("args") or {})
            if settings.model.engine != "fake":
                check_file(resolve_path(settings.model.model_path))


def _base_url(config: dict[str, Any]) -> str:
    http = config.get("http_options") or {}
    host = http.get("host", "127.0.0.1")
    host = "127.0.0.1" if host == "0.0.0.0" else host  # noqa: S104
    return f"http://{host}:{http.get('port', 8000)}"


def _announce(base: str, process: "subprocess.Popen[bytes]") -> None:
    """Wait for readiness, then say what a newcomer needs."""
    while process.poll() is None and not _is_ready(base):
        time.sleep(_POLL_S)
    if process.poll() is None:
        print(
            f"\n  ready       {base}"
            f"\n  web page    {base}/"
            f"\n  dashboard   http://127.0.0.1:8265/#/serve"
            f"\n  try         curl -F image=@photo.jpg {base}/v1/matting -o cutout.png"
            f"\n  stop        Ctrl+C\n",
            flush=True,
        )


def _is_ready(base: str) -> bool:
    try:
        with urllib.request.urlopen(f"{base}/readyz", timeout=2) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False

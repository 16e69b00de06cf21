"""What Ray Serve says of the service, and new configurations for it: the dashboard's REST API."""

import time
from dataclasses import dataclass
from typing import Any

import httpx
import psutil

from benchmarks.running_service import RunningService

_PATH = "/api/serve/applications/"


@dataclass(frozen=True)
class Replica:
    """One that takes requests."""

    pid: int
    node_id: str


@dataclass(frozen=True)
class ServeState:
    """The dashboard of one running service."""

    url: str

    def get(self) -> dict[str, Any]:
        """The state of every application; {} while the controller doesn't answer."""
        try:
            answer = httpx.get(self.url + _PATH, timeout=5, trust_env=False)
            return dict(answer.json()) if answer.status_code == 200 else {}
        except (httpx.TransportError, ValueError):
            return {}

    def application(self) -> dict[str, Any]:
        return dict(self.get().get("applications", {}).get("matting", {}))

    def replicas(self, stage: str) -> list[Replica]:
        """A stage's replicas that take requests."""
        replicas = self.application().get("deployments", {}).get(stage, {}).get("replicas", [])
        return [
            Replica(int(replica["pid"]), str(replica["node_id"]))
            for replica in replicas
            if replica["state"] == "RUNNING"
        ]

    def running(self, stage: str) -> set[int]:
        """The pids of a stage's replicas that take requests."""
        return {replica.pid for replica in self.replicas(stage)}

    def replica_ids(self) -> dict[str, set[str]]:
        """The ids of each stage's replicas that take requests."""
        return {
            stage: {r["replica_id"] for r in found["replicas"] if r["state"] == "RUNNING"}
            for stage, found in self.application().get("deployments", {}).items()
        }

    def config(self) -> dict[str, Any]:
        """What is deployed now, as a configuration to change and deploy anew."""
        state = self.get()
        return {
            "http_options": {key: state["http_options"][key] for key in ("host", "port")},
            "proxy_location": state["proxy_location"],
            "applications": [app["deployed_app_config"] for app in state["applications"].values()],
        }

    def deploy(self, config: dict[str, Any]) -> None:
        """Put another configuration in place of the present one. Raises httpx.HTTPError."""
        answer = httpx.put(self.url + _PATH, json=config, timeout=120, trust_env=False)
        answer.raise_for_status()


def serve_state(service: RunningService, timeout_s: float = 30) -> ServeState:
    """Find the service's dashboard: its port is Ray's own choice.

    Raises:
        TimeoutError: there is none.
    """
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        for port in _dashboard_ports(service):
            state = ServeState(f"http://127.0.0.1:{port}")
            if state.get():
                return state
        time.sleep(0.5)
    raise TimeoutError("the service has no dashboard that answers")


def _dashboard_ports(service: RunningService) -> list[int]:
    ports = []
    for process in service.tree():
        try:
            if any(word.endswith("dashboard/dashboard.py") for word in process.cmdline()):
                listening = process.net_connections("tcp")
                ports += [c.laddr.port for c in listening if c.status == psutil.CONN_LISTEN]
        except psutil.Error:  # it ended while we looked
            continue
    return ports

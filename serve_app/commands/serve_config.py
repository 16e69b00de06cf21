"""A Serve config file as `cvunet serve` reads it: whole in its shape, before Serve sees it.

What is read here is checked here; every other key is Serve's, which checks it.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, Field, ValidationError

from serve_app.errors import SettingsError

IMPORT_PATH = "serve_app.app:build_app"
_NETWORK = "UNet"


class _Actor(BaseModel):
    num_cpus: float | None = None
    runtime_env: dict[str, Any] | None = None


class _Scaling(BaseModel):
    min_replicas: int = 1
    max_replicas: int = 1


class _Deployment(BaseModel):
    name: str
    num_replicas: int | Literal["auto"] | None = None
    ray_actor_options: _Actor | None = None
    autoscaling_config: _Scaling | None = None


class _Application(BaseModel):
    import_path: str
    args: dict[str, Any] | None = None
    deployments: list[_Deployment] | None = None


class _Http(BaseModel):
    host: str | None = None
    port: int = Field(8000, ge=0, le=65535)


class _Config(BaseModel):
    http_options: _Http | None = None
    applications: list[_Application] = Field(min_length=1)


def read_config(path: Path) -> dict[str, Any]:
    """Read the file as plain values.

    Raises:
        SettingsError: it cannot be read, or is no Serve config.
    """
    try:
        values = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as exc:
        why = " ".join(str(exc).split())  # YAML's own words are several lines
        raise SettingsError(f"Serve config '{path}' cannot be read: {why}") from exc
    if not isinstance(values, dict):
        raise SettingsError(f"Serve config '{path}' must hold keys and values, not {values!r}")
    try:
        _Config.model_validate(values)
    except ValidationError as exc:
        problem = exc.errors()[0]
        key = ".".join(str(part) for part in problem["loc"])
        given = "" if problem["type"] == "missing" else f" = {problem['input']!r}"
        raise SettingsError(
            f"Serve config '{path}', {key}{given}: {problem['msg']}; serve_config.yaml shows how"
        ) from exc
    return values


def our_applications(config: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Those of the config's applications that are this service."""
    for application in config["applications"]:
        if application["import_path"] == IMPORT_PATH:
            yield application


def replica_variables(application: dict[str, Any]) -> dict[str, str]:
    """Environment variables that the config sets for the network's replicas."""
    for deployment in application.get("deployments") or []:
        if deployment["name"] == _NETWORK:
            options = deployment.get("ray_actor_options") or {}
            return dict((options.get("runtime_env") or {}).get("env_vars") or {})
    return {}


def http_address(config: dict[str, Any]) -> tuple[str, int]:
    """The host and port that Serve's proxy listens on."""
    http = config.get("http_options") or {}
    return http.get("host") or "127.0.0.1", int(http.get("port", 8000))

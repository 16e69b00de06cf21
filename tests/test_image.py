"""The image: its Dockerfile and compose files, as far as they can be checked without a builder."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from serve_app import __version__
from serve_app.models.checkpoint import load_checkpoint
from serve_app.settings import ROOT, Settings, resolve_path

FOLDER = ROOT / "configs" / "docker"
DOCKERFILE = (FOLDER / "Dockerfile").read_text("utf-8")
COMPOSE = ["compose.yaml", "compose.gpu.yaml"]


def run(tool: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """One of the environment's tools, run to its end."""
    command = [Path(sys.executable).with_name(tool), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def compose(name: str) -> dict[str, Any]:
    return yaml.safe_load((FOLDER / name).read_text("utf-8"))["services"]


def copied() -> list[str]:
    """What the build takes from the repository."""
    lines = re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE)
    return [source for line in lines for source in line.split()[:-1]]


def test_hadolint_finds_nothing() -> None:
    result = run("hadolint", FOLDER / "Dockerfile")
    assert result.returncode == 0, result.stdout + result.stderr


def test_hadolint_would_find_something(tmp_path: Path) -> None:
    file = tmp_path / "Dockerfile"
    file.write_text(DOCKERFILE + "\nUSER root\nRUN apt-get install gcc\n")
    assert "DL3008" in run("hadolint", file).stdout


@pytest.mark.parametrize("name", COMPOSE)
def test_compose_files_are_valid(name: str) -> None:
    result = run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", FOLDER / name)
    assert result.returncode == 0, result.stdout


def test_the_build_is_sent_what_it_copies() -> None:
    sent = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text("utf-8"), re.MULTILINE)
    for source in copied():
        assert (ROOT / source).exists(), source
        assert source.split("/")[0] in sent, source


def test_it_runs_as_nobody_in_particular() -> None:
    last = DOCKERFILE.split("\nFROM ")[-1]
    assert re.search(r"^USER 10001:10001$", last, re.MULTILINE)
    assert "pip install" not in last


def test_nothing_is_installed_without_a_hash() -> None:
    installs = re.findall(r"uv pip install (.*)", DOCKERFILE)
    assert len(installs) == 2
    for arguments in installs:
        assert "--require-hashes" in arguments or arguments.endswith("--no-build-isolation .")


def test_the_model_card_tells_the_sum_that_the_build_compares() -> None:
    _, info = load_checkpoint(resolve_path(Settings().model.model_path))
    assert f"`{info.sha256}`" in (ROOT / "pretrained" / "README.md").read_text("utf-8")


@pytest.mark.parametrize("name", ["serve_config.yaml", "configs/serve.gpu.yaml"])
def test_the_build_changes_the_address_and_nothing_else(name: str) -> None:
    (script,) = re.findall(r"sed '(s/\^  host.*?)'", DOCKERFILE)
    changed = subprocess.run(
        ["sed", script, ROOT / name], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    expected = yaml.safe_load((ROOT / name).read_text("utf-8"))
    expected["http_options"]["host"] = "0.0.0.0"
    assert yaml.safe_load(changed) == expected
    assert f"{Path(name).name}" in DOCKERFILE


def test_compose_starts_this_version() -> None:
    assert compose("compose.yaml")["matting"]["image"] == f"cvunet-serve:{__version__}"
    assert compose("compose.gpu.yaml")["matting"]["image"] == f"cvunet-serve:{__version__}-cuda"
    for service in compose("compose.yaml").values():
        assert re.search(r":v?\d+\.\d+\.\d+$", service["image"])


def test_what_compose_mounts_is_there() -> None:
    mounts = [v for s in compose("compose.yaml").values() for v in s["volumes"]]
    paths = [mount.split(":")[0] for mount in mounts if mount.startswith(".")]
    assert len(paths) == 4
    for path in paths:
        assert (FOLDER / path).exists(), path


def test_compose_keeps_jobs_where_there_is_room_for_them() -> None:
    """On disk, in a folder that the image has made for its user."""
    values = yaml.safe_load((FOLDER / "compose.yaml").read_text("utf-8"))
    matting = values["services"]["matting"]
    storage = matting["environment"]["CVUNET_JOBS_STORAGE"]
    (volume,) = (v.split(":")[0] for v in matting["volumes"] if v.split(":")[1] == storage)
    assert values["volumes"][volume] == {}
    assert f"install -d -o 10001 -g 10001 -m 0700 {storage};" in DOCKERFILE


def test_compose_publishes_on_loopback_only() -> None:
    for service in compose("compose.yaml").values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
        assert service["cap_drop"] == ["ALL"]

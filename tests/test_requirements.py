"""What the images install: pinned, hashed, of the tested versions, whole, and nothing more."""

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from serve_app.settings import ROOT

FOLDER = ROOT / "configs" / "docker"
CPU, CUDA = "requirements.txt", "requirements.cuda.txt"
NVIDIA = ("nvidia", "triton", "cuda")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def pinned(name: str) -> dict[str, tuple[Version, list[str]]]:
    """Version and hashes of each package, as the file says them."""
    text = (FOLDER / name).read_text("utf-8")
    lines = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ").splitlines()
    found = {}
    for line in filter(str.strip, lines):
        requirement, *hashes = re.split(r"\s+--hash=", line.strip())
        name, version = re.fullmatch(r"([\w.-]+)==([\w.+]+)(?:\s*;.*)?", requirement).groups()
        found[canonicalize_name(name)] = (Version(version), hashes)
    return found


def constrained() -> dict[str, Version]:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pairs = (line.split("==") for line in lines if not line.startswith("#"))
    return {canonicalize_name(name): Version(version) for name, version in pairs}


both = pytest.mark.parametrize("file", [CPU, CUDA])


@both
def test_every_package_has_hashes(file: str) -> None:
    for name, (_, hashes) in pinned(file).items():
        assert hashes, name
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", found) for found in hashes), name


@both
def test_the_versions_are_those_that_the_tests_run_with(file: str) -> None:
    expected = constrained()
    for name, (version, _) in pinned(file).items():
        if not name.startswith(NVIDIA):  # what no test here can run with
            assert version.public == str(expected[name]), name


@both
def test_what_the_service_depends_on_is_there(file: str) -> None:
    project = PYPROJECT["project"]
    extras = project["optional-dependencies"]
    for text in (*project["dependencies"], *extras["openvino"], *extras["tracing"]):
        requirement = Requirement(text)
        version, _ = pinned(file)[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), text


@both
def test_no_tools_of_development_are_there(file: str) -> None:
    assert not {"pytest", "mypy", "ruff", "hypothesis", "uv", "playwright"} & set(pinned(file))


def test_one_is_for_a_cpu_and_one_for_a_gpu() -> None:
    assert pinned(CPU)["torch"][0].local == "cpu"
    assert not [name for name in pinned(CPU) if name.startswith(NVIDIA)]
    assert pinned(CUDA)["torch"][0].local is None
    only = set(pinned(CUDA)) - set(pinned(CPU))
    assert only
    assert all(name.startswith(NVIDIA) for name in only)
    assert set(pinned(CPU)) < set(pinned(CUDA))

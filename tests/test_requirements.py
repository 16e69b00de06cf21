"""What the image installs: pinned, hashed, of the tested versions, whole, and nothing more."""

import re
import tomllib

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from serve_app.settings import ROOT

TEXT = (ROOT / "configs" / "docker" / "requirements.txt").read_text("utf-8")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def pinned() -> dict[str, tuple[Version, list[str]]]:
    """Version and hashes of each package, as the file says them."""
    lines = re.sub(r"^#.*\n", "", TEXT, flags=re.MULTILINE).replace("\\\n", " ").splitlines()
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


def test_every_package_has_hashes() -> None:
    for name, (_, hashes) in pinned().items():
        assert hashes, name
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", found) for found in hashes), name


def test_the_versions_are_those_that_the_tests_run_with() -> None:
    versions = {name: version.public for name, (version, _) in pinned().items()}
    expected = {name: str(version) for name, version in constrained().items() if name in versions}
    assert versions == expected


def test_what_the_service_depends_on_is_there() -> None:
    project = PYPROJECT["project"]
    for text in (*project["dependencies"], *project["optional-dependencies"]["openvino"]):
        requirement = Requirement(text)
        version, _ = pinned()[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), text


def test_it_is_for_a_cpu_and_holds_no_tools_of_development() -> None:
    assert pinned()["torch"][0].local == "cpu"
    assert not [name for name in pinned() if name.startswith(("nvidia", "triton"))]
    assert not {"pytest", "mypy", "ruff", "hypothesis", "uv", "playwright"} & set(pinned())

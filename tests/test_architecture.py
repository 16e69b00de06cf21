"""Imports go one way, heavy libraries stay behind their seams, and nothing speaks out of turn."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from serve_app.settings import ROOT

# Each may import itself and what stands before it.
LAYERS = [
    {"errors", "types", "settings", "timing", "metrics", "tracing", "drain", "files"},
    {"imaging"},
    {"options"},
    {"models"},
    {"engines"},
    {"batching", "preprocess", "mattes", "manifest", "names"},
    {"postprocess"},
    {"pipeline"},
    {"api", "client", "bulk"},
    {"deployments"},
    {"app"},
    {"commands"},
    {"cli"},
]
RAY = {"deployments", "app.py", "bulk"}
TORCH = {"models", "engines"}


def modules() -> Iterator[Path]:
    yield from sorted((ROOT / "serve_app").rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def place(path: Path) -> str:
    """The package or module right below serve_app: `imaging`, `app.py`."""
    return path.relative_to(ROOT / "serve_app").parts[0]


def layer(name: str) -> int | None:
    return next((i for i, names in enumerate(LAYERS) if name in names), None)


@pytest.mark.parametrize("path", list(modules()), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_one_way(path: Path) -> None:
    own = layer(place(path).removesuffix(".py"))
    for name in imports(path):
        if own is not None and name.startswith("serve_app."):
            other = layer(name.split(".")[1])
            assert other is None or other <= own, f"{path.name} imports {name}"


@pytest.mark.parametrize(("library", "allowed"), [("ray", RAY), ("torch", TORCH)])
def test_heavy_libraries_stay_behind_their_seams(library: str, allowed: set[str]) -> None:
    users = {place(p) for p in modules() for n in imports(p) if n.split(".")[0] == library}
    assert users <= allowed


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("serve_app", ["torch", "ray", "numpy"]),
        ("serve_app.deployments.preprocess", ["torch"]),
        ("serve_app.deployments.postprocess", ["torch"]),
        ("serve_app.deployments.ingress", ["torch"]),
        ("serve_app.app", ["torch"]),
        ("serve_app.cli", ["torch", "ray", "pyarrow"]),
    ],
)
def test_importing_is_light(module: str, absent: list[str]) -> None:
    code = f"import sys, {module}; print([m for m in {absent} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"

"""Requests made from the OpenAPI document find no answer that it doesn't describe.

Longer, against any running service: `schemathesis run URL/openapi.json --max-examples 500`.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from serve_app.settings import ROOT

pytest.importorskip("schemathesis", reason="pip install -e '.[dev]'")


def test_the_document_holds_under_generated_requests(service: str, tmp_path: Path) -> None:
    run = [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{service}/openapi.json"),
        *("--max-examples", "5", "--seed", "1", "--phases", "coverage,fuzzing"),
        *("--generation-database", "none"),
    ]
    environ = {"NO_PROXY": "127.0.0.1", "HOME": str(tmp_path), "PATH": ""}
    done = subprocess.run(
        run, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=150, check=False
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]

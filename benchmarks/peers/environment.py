"""The peers' own virtual environment, made when it is first needed."""

import hashlib
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

from serve_app.settings import ROOT

FOLDER = ROOT / ".cache" / "peers"
REQUIREMENTS = Path(__file__).with_name("requirements.txt")
_PATHS = "PEERS_EXTRA_PATH"


def peers_python() -> Path:
    """The interpreter of the environment; made anew where its requirements have changed.

    Raises:
        subprocess.CalledProcessError: pip could not install them.
    """
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    folder = FOLDER / "environment"
    python, mark = folder / "bin" / "python", folder / "installed"
    if not mark.is_file() or mark.read_text("utf-8") != wanted:
        print("... installing the peers into .cache/peers", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, "--requirement", REQUIREMENTS], check=True)
        mark.write_text(wanted, "utf-8")
    return python


def peers_environment(*, with_product: bool) -> dict[str, str]:
    """Variables for a process of the environment.

    Nothing reports to its makers and nothing opens a browser. Where a peer runs our pipeline, our
    packages stand behind its own (see `find_product`).
    """
    inherited = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "OMP_NUM_THREADS")}
    variables = {
        **inherited,
        "BENTOML_DO_NOT_TRACK": "True",
        "BENTOML_HOME": str(FOLDER / "bentoml"),
        "REMBG_HOME": str(FOLDER / "rembg"),
        "BROWSER": "true",
    }
    if with_product:
        variables[_PATHS] = os.pathsep.join([str(ROOT), sysconfig.get_path("purelib")])
    return variables


def find_product() -> None:
    """In a peer's process: let it import our packages wherever it has none of that name."""
    sys.path.extend(os.environ.get(_PATHS, "").split(os.pathsep))

"""Which GPUs a replica sees: it writes that down, and a test reads it."""

import os
from pathlib import Path

FOLDER = "SEEN_FOLDER"
"""The variable that names the folder of what is written, one file for each process."""

NOT_SET = "not set"


def note() -> None:
    """Write down what this process sees."""
    found = os.environ.get("CUDA_VISIBLE_DEVICES", NOT_SET)
    (Path(os.environ[FOLDER]) / str(os.getpid())).write_text(found, "utf-8")


def seen(folder: Path, pid: int) -> str:
    """What a process wrote."""
    return (folder / str(pid)).read_text("utf-8")

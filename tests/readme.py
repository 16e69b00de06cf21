"""The README as data: its shell lines and its text."""

import re
import shlex

from serve_app.settings import ROOT

TEXT = (ROOT / "README.md").read_text("utf-8")


def shell_lines(program: str) -> list[list[str]]:
    """Every command of one program in the README's `sh` blocks, as words."""
    blocks = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [shlex.split(line) for line in lines if line.split()[:1] == [program]]


def code_blocks(language: str) -> list[str]:
    """Every block of one language, whole."""
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)

"""The README's commands run as they stand, in one job after the other."""

from pathlib import Path

import pytest

from tests.bulk.conftest import Bulk, make_photos, outputs
from tests.readme import shell_lines

COMMANDS = [words[2:] for words in shell_lines("cvunet") if words[1] == "bulk"]


def test_its_commands_run(tmp_path: Path, bulk: Bulk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_photos(tmp_path / "photos", 2)
    (tmp_path / "list.csv").write_text("uri,name\nphotos/0.jpg,front\n")
    for words in COMMANDS:
        assert bulk(*words) == 0
    assert outputs(tmp_path / "bulk-out") == ["0.webp", "1.webp"]
    assert outputs(tmp_path / "bulk-rows") == ["front.png"]

from pathlib import Path

import pytest

from serve_app.errors import SettingsError
from training.settings import load_settings

CONFIGS = Path(__file__).parents[2] / "configs"

MINIMAL = """
steps: 10
sources: {mine: {weight: 1}}
stages: [{until: 1.0, canvases: [{size: [64, 64], batch: 2}]}]
"""


@pytest.mark.parametrize("name", ["train.yaml", "train.gpu.yaml"])
def test_the_shipped_settings_are_valid(name: str) -> None:
    assert load_settings(CONFIGS / name).minutes


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ("learning_rat: 0.1", "learning_rat"),
        ("minutes: 5", "settings"),  # beside steps
        ("ema: 1.5", "ema"),
        ("losses: {l2: 1}", "losses.l2"),
        ("sources: {mine: {weight: 1, solved: 5}}", "sources.mine.solved"),
        ("sources: {mine: {weight: 1, solve: -5}}", "sources.mine.solve"),
        ("sources: {mine: {weight: 1, solve: 5, soft: true}}", "sources.mine.*solve: 5"),
        ("stages: [{until: 0.5, canvases: [{size: [64, 64], batch: 2}]}]", "settings"),
        ("stages: [{until: 1.0, canvases: [{size: [64, 60], batch: 2}]}]", "stages.0"),
    ],
)
def test_a_wrong_key_is_named(tmp_path: Path, change: str, key: str) -> None:
    lines = [
        line
        for line in MINIMAL.splitlines()
        if line.split(":")[0] != change.split(":", maxsplit=1)[0]
    ]
    (tmp_path / "train.yaml").write_text("\n".join([*lines, change]))
    with pytest.raises(SettingsError, match=key):
        load_settings(tmp_path / "train.yaml")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="nowhere"):
        load_settings(tmp_path / "nowhere.yaml")

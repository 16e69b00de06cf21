"""The settings tree: what it takes, what it refuses, and what its messages say."""

from pathlib import Path

import pytest
import yaml

from serve_app.errors import SettingsError
from serve_app.settings import ROOT, Settings, load_settings, parse_settings, resolve_path


def test_defaults_are_the_shipped_configuration() -> None:
    shipped = load_settings(ROOT / "serve_config.yaml", environ={})
    assert shipped == Settings()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"limits": {"max_byte": 1}}, r"unknown settings key 'limits.max_byte': did you mean"),
        ({"colour": 1}, r"unknown settings key 'colour': known keys: limits, model"),
        ({"limits": {"max_bytes": 0}}, r"settings key 'limits.max_bytes' = 0: .*greater than"),
        ({"model": {"device": "tpu"}}, r"'model.device' = 'tpu'"),
        ({"batching": {"warmup": [[576, 0]]}}, r"'batching.warmup.0.1' = 0: .*greater than"),
        ({"access": {"key_hashes": ["a-key"]}}, r"'access.key_hashes.0' = \(hidden\): "),
        ({"batching": {"bucket_step": 33}}, r"'batching.bucket_step' = 33: .*multiple of 32"),
    ],
)
def test_a_bad_tree_is_refused_by_name(values: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        parse_settings(values, environ={})


def test_the_environment_names_the_model() -> None:
    settings = parse_settings({}, environ={"CVUNET_MODEL_PATH": "/models/mine.pth"})
    assert settings.model.model_path == Path("/models/mine.pth")


def test_a_settings_file_may_be_the_bare_tree(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(yaml.safe_dump({"limits": {"max_bytes": 5}}))
    assert load_settings(file, environ={}).limits.max_bytes == 5
    assert load_settings(None, environ={"CVUNET_SETTINGS": str(file)}).limits.max_bytes == 5


@pytest.mark.parametrize(
    "text",
    [
        *("- a list", "limits: [", "just words"),
        *(
            "applications: []",
            "applications: [5]",
            "applications: all",
            "applications: [{args: 5}]",
        ),
    ],
)
def test_a_file_that_is_no_tree_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=r"settings\.yaml"):
        load_settings(file, environ={})


def test_a_serve_config_may_leave_args_out(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("applications: [{import_path: serve_app.app:build_app, args: }]")
    assert load_settings(file, environ={}) == Settings()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.yaml"):
        load_settings(tmp_path / "none.yaml", environ={})


def test_relative_paths_start_at_the_installation() -> None:
    assert resolve_path(Path("configs/presets.yaml")).is_file()
    assert resolve_path(Path("/etc/hosts")) == Path("/etc/hosts")

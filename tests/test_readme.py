"""What the README says is so: its commands run, its tables are complete."""

import re
from pathlib import Path

import pytest
import yaml

from serve_app.cli import main
from serve_app.commands.info import setting_rows
from serve_app.options import Options
from serve_app.settings import ROOT, Settings
from tests.conftest import encoded, picture
from tests.engines.test_external import RED, network
from tests.readme import TEXT, shell_lines

# What `serve` and `export` do has tests of its own: both take their time.
# `bulk` has them too, beside the other tests that need a Ray.
ELSEWHERE = ("serve", "export", "bulk")
COMMANDS = [w[1:] for w in shell_lines("cvunet") if w[1] not in ELSEWHERE]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_its_commands_run(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photo.jpg").write_bytes(encoded(picture(), "JPEG"))
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    network(tmp_path / "prisma_nchw.onnx", RED)
    for folder in ("photos", "alphas"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "disc.png").write_bytes(encoded(picture()[..., 0]))
    assert main(words) == 0


def test_it_has_commands_to_run() -> None:
    assert {words[0] for words in COMMANDS} == {"matte", "evaluate", "info"}


def test_every_setting_stands_in_it_with_its_meaning() -> None:
    table = dict(re.findall(r"^\| `([\w.]+)` \| (.*) \|$", TEXT, re.MULTILINE))
    expected = {key: meaning for key, _, meaning in setting_rows(Settings())}
    assert {key: table.get(key) for key in expected} == expected


def test_no_other_setting_stands_in_its_table() -> None:
    _, section = TEXT.split("\n## Settings\n")
    keys = re.findall(r"^\| `([\w.]+)` \|", section.split("\n## ")[0], re.MULTILINE)
    assert sorted(keys) == sorted(key for key, _, _ in setting_rows(Settings()))


def test_every_option_stands_in_it() -> None:
    for name in (*Options.model_fields, "preset", "background_image", "trimap"):
        assert f"`{name}`" in TEXT, name


def test_every_make_target_it_names_is_there() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in re.findall(r"`make (\w+)`", TEXT):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_every_file_it_links_to_is_there() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", TEXT):
        assert (ROOT / target).exists(), target


@pytest.mark.parametrize("name", ["serve_config.yaml", "configs/serve.gpu.yaml"])
def test_every_stage_is_configured(name: str) -> None:
    (application,) = yaml.safe_load((ROOT / name).read_text("utf-8"))["applications"]
    stages = {stage["name"]: stage for stage in application["deployments"]}
    assert set(stages) == {"Ingress", "Preprocess", "UNet", "Postprocess"}
    for stage in stages.values():
        assert stage["autoscaling_config"]["min_replicas"] >= 1
        assert stage["max_queued_requests"] > 0
        assert stage["health_check_period_s"] > 0
    batch = application["args"]["batching"]["max_batch_size"]
    assert stages["UNet"]["max_ongoing_requests"] >= batch

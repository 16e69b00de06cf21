"""The operating guide is so: its links lead somewhere, its settings, commands and files exist."""

import json
import re
import shlex
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from serve_app.cli import main
from serve_app.commands.info import setting_rows
from serve_app.settings import ROOT, Settings

GUIDE = sorted((ROOT / "docs").glob("*.md"))
PAGES = [*GUIDE, ROOT / "README.md", ROOT / "SECURITY.md", ROOT / "CHANGELOG.md"]
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)

KEYS = {key for key, _, _ in setting_rows(Settings())}
SECTIONS = sorted({key.split(".")[0] for key in KEYS if "." in key})


def without_code(text: str) -> str:
    return re.sub(r"```.*?```", "", text, flags=re.DOTALL)


def anchors(page: Path) -> set[str]:
    """What each heading of a page is called in a link, as GitHub makes it."""
    headings = re.findall(r"^#+ (.+)$", without_code(page.read_text("utf-8")), re.MULTILINE)
    kept = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in kept}


def code(page: Path) -> list[str]:
    """Every line of the page's shell blocks, whole, and everything in backticks."""
    text = page.read_text("utf-8")
    blocks = "\n".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL)).replace("\\\n", " ")
    return [*blocks.splitlines(), *re.findall(r"`([^`\n]+)`", without_code(text))]


def commands(page: Path, program: str) -> list[list[str]]:
    """The words after each mention of a program."""
    found = []
    for line in code(page):
        words = line.split("#")[0].replace(".venv/bin/", "").split()
        found += [words[i + 1 :] for i, word in enumerate(words) if word == program]
    return [words for words in found if words]


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    text = without_code(page.read_text("utf-8"))
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", text):
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target


@each_page
def test_settings_that_it_names_exist(page: Path) -> None:
    pattern = rf"\b(?:{'|'.join(SECTIONS)})\.[a-z_]+(?:\.[a-z_]+)?\b"
    # A section's own name, such as `model.onnx`, and a file's, such as `access.yaml`, are no keys.
    known = KEYS | {key.rpartition(".")[0] for key in KEYS} | {f"{s}.yaml" for s in SECTIONS}
    for text in code(page):
        for key in re.findall(pattern, text):
            assert key in known, f"{key} in `{text}`"


@each_page
def test_make_targets_that_it_names_exist(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target, *_ in commands(page, "make"):
        assert re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE), target


@each_page
def test_cvunet_commands_that_it_names_exist(
    page: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, *rest in commands(page, "cvunet"):
        with pytest.raises(SystemExit) as ended:
            main([name, "--help"])
        assert ended.value.code == 0, name
        usage = capsys.readouterr().out
        for option in (word for word in rest if word.startswith("--")):
            assert option in usage, f"cvunet {name} {option}"


@each_page
def test_modules_that_it_runs_exist(page: Path) -> None:
    for flag, *names in commands(page, "python"):
        if flag == "-m":
            assert find_spec(names[0]) is not None, names[0]


@pytest.mark.parametrize("page", GUIDE, ids=lambda page: page.name)
def test_files_that_it_names_exist(page: Path) -> None:
    for text in code(page):
        for path in re.findall(r"(?<![\w./-])(?:configs|benchmarks|tests)/[\w./-]+\w", text):
            assert (ROOT / path).exists(), path


@pytest.mark.parametrize("page", GUIDE, ids=lambda page: page.name)
def test_shell_blocks_are_whole(page: Path) -> None:
    for block in re.findall(r"```sh\n(.*?)```", page.read_text("utf-8"), re.DOTALL):
        assert shlex.split(block, comments=True)


def test_the_guide_lists_its_pages() -> None:
    index = (ROOT / "docs" / "README.md").read_text("utf-8")
    for page in GUIDE:
        assert page.name == "README.md" or f"]({page.name})" in index, page.name


def test_the_variables_are_those_that_are_read() -> None:
    sources = "".join(p.read_text("utf-8") for p in (ROOT / "serve_app").rglob("*.py"))
    read = set(re.findall(r'"(CVUNET_[A-Z_]+)"', sources))
    guide = (ROOT / "docs" / "configure.md").read_text("utf-8")
    assert read
    assert read == set(re.findall(r"^\| `(CVUNET_[A-Z_]+)`", guide, re.MULTILINE))


@pytest.mark.parametrize(
    "page",
    [*GUIDE, *(ROOT / "configs").rglob("*.yaml"), ROOT / "serve_app" / "commands" / "serve.py"],
    ids=lambda page: page.name,
)
def test_variables_of_serve_that_it_names_exist(page: Path) -> None:
    constants = Path(find_spec("ray").origin).parent / "serve" / "_private" / "constants.py"
    known = set(re.findall(r'"(RAY_SERVE_\w+)"', constants.read_text("utf-8")))
    assert set(re.findall(r"\bRAY_SERVE_\w+", page.read_text("utf-8"))) <= known


def test_autoscaling_is_as_the_guide_says() -> None:
    guide = (ROOT / "docs" / "configure.md").read_text("utf-8")
    for name in ("serve_config.yaml", "configs/serve.gpu.yaml"):
        (application,) = yaml.safe_load((ROOT / name).read_text("utf-8"))["applications"]
        for stage in application["deployments"]:
            scaling = stage["autoscaling_config"]
            for key in ("metrics_interval_s", "look_back_period_s", "upscale_delay_s"):
                assert f"| `{key}` | {scaling[key]} |" in guide, (name, stage["name"], key)
            (delays,) = re.findall(r"^\| `downscale_delay_s` \| (.*?) \|", guide, re.MULTILINE)
            assert str(scaling["downscale_delay_s"]) in re.findall(r"\d+", delays)


def test_the_stages_are_configured_as_the_guide_says() -> None:
    guide = (ROOT / "docs" / "configure.md").read_text("utf-8")
    for name, column in (("serve_config.yaml", 0), ("configs/serve.gpu.yaml", -1)):
        (application,) = yaml.safe_load((ROOT / name).read_text("utf-8"))["applications"]
        for stage in application["deployments"]:
            (row,) = re.findall(rf"^\| [^|]*{stage['name']}[^|]*\|(.*?)\|(.*?)\|", guide, re.M)
            target, most = (int(re.findall(r"\d+", cell)[column]) for cell in row)
            assert target == stage["autoscaling_config"]["target_ongoing_requests"], stage["name"]
            assert most == stage["max_ongoing_requests"], stage["name"]


def test_ray_up_takes_its_file() -> None:
    schema = Path(find_spec("ray").origin).parent / "autoscaler" / "ray-schema.json"
    machines = yaml.safe_load((ROOT / "configs/cluster/machines.yaml").read_text("utf-8"))
    assert not list(Draft202012Validator(json.loads(schema.read_text())).iter_errors(machines))


def test_systemd_starts_a_command_that_exists() -> None:
    unit = (ROOT / "configs/systemd/cvunet-serve.service").read_text("utf-8")
    (start,) = re.findall(r"^ExecStart=(.*)$", unit, re.MULTILINE)
    program, command, config = start.split()
    assert Path(program).name == "cvunet"
    assert command == "serve"
    assert (ROOT / Path(config).relative_to("/opt/cvunet-serve")).is_file()

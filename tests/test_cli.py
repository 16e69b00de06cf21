"""The command line as a user runs it: files, folders, one-line errors, exit statuses."""

import io
import json
import os
import stat
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from serve_app.cli import main
from serve_app.commands.info import setting_rows
from serve_app.engines.availability import is_installed
from serve_app.options import Options
from serve_app.settings import Settings
from tests.conftest import encoded, picture


def cvunet(*arguments: object) -> int:
    return main([str(a) for a in arguments])


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "disc.png"
    path.write_bytes(encoded(picture()))
    return path


def test_one_file(photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "cut.png"
    assert cvunet("matte", photo, out, "--engine", "fake", "--decontaminate", "false") == 0
    with Image.open(out) as image:
        alpha = np.asarray(image)[..., 3]
    assert np.array_equal(alpha, picture()[..., 0])
    assert [f.name for f in out.parent.iterdir()] == ["cut.png"]


def test_the_suffix_of_the_output_chooses_the_format(photo: Path, tmp_path: Path) -> None:
    for suffix, kind in ((".jpg", "JPEG"), (".webp", "WEBP"), (".png", "PNG")):
        out = tmp_path / f"cut{suffix}"
        assert cvunet("matte", photo, out, "--engine", "fake") == 0
        with Image.open(out) as image:
            assert image.format == kind


def test_a_folder_keeps_its_shape_and_goes_on_past_bad_files(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    for name in ("a.png", "a.jpg", "sub/b.png"):
        (folder / name).write_bytes(photo.read_bytes())
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff broken")
    (folder / "notes.txt").write_text("not an image")
    assert cvunet("matte", folder, tmp_path / "out", "--engine", "fake") == 1
    made = sorted(str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*.*"))
    assert made == ["a-2.png", "a.png", "sub/b.png"]
    errors = capsys.readouterr().err
    assert "broken.jpg" in errors
    assert "3 done, 1 failed" in errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.png", "out.png"], "none.png: No such file"),
        (["{photo}", "out.png", "--erode", "9"], "erode=9: it must be from 0 to 5"),
        (["{photo}", "out.png", "--preset", "x"], "preset=x"),
        (["{photo}", "out.png", "--settings", "none.yaml"], "none.yaml"),
        (["{photo}", "out.png", "--engine", "warp"], "model.engine"),
        (["{photo}", "out.png", "--engine", "torch", "--model", "no.pth"], "no.pth' is not a file"),
        (["{folder}", "out"], "no images in"),
        (["{folder}", "{photo}"], "is a folder and OUT"),
        (["{photo}", "{photo}"], "IN and OUT are both"),
        (["{photo}", "{photo.parent}"], "IN and OUT are both"),
        (["{photo}", "out.gif"], "OUT 'out.gif': .gif is read and not written: end it in .png"),
        (["{photo}", "out.jpeg", "--format", "webp"], "end it in .webp, or leave out --format"),
        (["{photo}", "out.png", "--background-image", "none.png"], "none.png: No such file"),
    ],
)
def test_errors_are_one_line_and_exit_2(
    photo: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    (tmp_path / "empty").mkdir()
    filled = [a.format(photo=photo, folder=tmp_path / "empty") for a in arguments]
    if "--engine" not in filled:
        filled += ["--engine", "fake"]
    assert cvunet("matte", *filled) == 2
    error = capsys.readouterr().err
    assert error.startswith("cvunet: ")
    assert message in error
    assert error.count("\n") == 1


def test_images_are_never_written_over(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, before = photo.parent, photo.read_bytes()
    (folder.parent / "the-same").symlink_to(folder)
    for out in (folder, folder.parent / "the-same"):
        assert cvunet("matte", folder, out, "--engine", "fake") == 2
        assert "give OUT a folder of its own" in capsys.readouterr().err
    assert (photo.read_bytes(), list(folder.iterdir())) == (before, [photo])


def test_a_device_stays_one(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert cvunet("matte", photo, tmp_path / "pipe", "--engine", "fake") == 2
    assert "is no file and no folder" in capsys.readouterr().err
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_outputs_within_the_folder_are_no_images(photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for _ in range(2):
        assert cvunet("matte", tmp_path, out, "--engine", "fake") == 0
        assert [path.name for path in out.iterdir()] == ["disc.png"]


def test_images_within_the_output_folder(photo: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    photo = photo.rename(folder / "disc.jpg")
    assert cvunet("matte", folder, tmp_path, "--engine", "fake") == 0
    assert (tmp_path / "disc.png").is_file()


def test_a_slash_makes_out_a_folder(photo: Path, tmp_path: Path) -> None:
    assert cvunet("matte", photo, f"{tmp_path}/new/", "--engine", "fake") == 0
    assert (tmp_path / "new" / "disc.png").is_file()


def test_auto_is_the_format_of_the_suffix(photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "cut.webp"
    assert cvunet("matte", photo, out, "--format", "auto", "--engine", "fake") == 0
    with Image.open(out) as image:
        assert image.format == "WEBP"


def test_a_folder_of_which_nothing_can_be_done(photo: Path, tmp_path: Path) -> None:
    photo.write_bytes(b"\xff\xd8\xff broken")
    assert cvunet("matte", tmp_path, tmp_path / "out", "--engine", "fake") == 2


def test_a_write_that_fails_leaves_nothing(photo: Path, tmp_path: Path) -> None:
    (tmp_path / "out" / "disc.png" / "full").mkdir(parents=True)
    assert cvunet("matte", tmp_path, tmp_path / "out", "--engine", "fake") == 2
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["disc.png"]


def test_a_reader_that_has_seen_enough_ends_it_without_a_word() -> None:
    command = [sys.executable, "-m", "serve_app.cli", "info", "--list-settings"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 128 + 13


def test_an_output_that_is_full_is_told() -> None:
    command = [sys.executable, "-m", "serve_app.cli", "info", "--list-settings"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, check=False, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (2, "cvunet: No space left on device\n")


@pytest.mark.skipif(is_installed("tensorrt"), reason="TensorRT is installed")
def test_bulk_with_an_engine_that_does_not_open_leaves_no_job(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert cvunet("bulk", photo, tmp_path / "out", "--engine", "tensorrt") == 2
    error = capsys.readouterr().err
    assert "pip install 'cvunet-serve[tensorrt]', or set engine: auto" in error
    assert error.count("\n") == 1
    assert [path.name for path in (tmp_path / "out" / ".cvunet").iterdir()] == ["lock"]


@pytest.mark.parametrize("seconds", ["0", "nan", "inf"])
def test_bulk_looks_in_time(
    seconds: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cvunet("bulk", tmp_path, tmp_path / "out", "--watch", "--poll", seconds) == 2
    assert "it must be more than 0 and at most 86400 seconds" in capsys.readouterr().err


def test_evaluate_scores_a_perfect_and_a_poor_matte(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images, alphas = tmp_path / "images", tmp_path / "alphas"
    for folder in (images, alphas):
        folder.mkdir()
    for name in ("good", "poor"):
        (images / f"{name}.png").write_bytes(encoded(picture()))
    (alphas / "good.png").write_bytes(encoded(picture()[..., 0]))
    (alphas / "poor.png").write_bytes(encoded(np.zeros((90, 160), np.uint8)))
    out = tmp_path / "scores.json"
    arguments = ["--images", images, "--alphas", alphas, "--json", out, "--engine", "fake"]
    assert cvunet("evaluate", *arguments) == 0
    report = json.loads(out.read_text())
    assert report["images"]["good"]["iou"] == 1
    assert report["images"]["good"]["sad"] == 0
    assert report["images"]["poor"]["iou"] == 0
    assert report["mean"]["iou"] == 0.5
    assert "mean of 2" in capsys.readouterr().out


def test_evaluate_names_what_it_cannot_score(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images, alphas = tmp_path / "images", tmp_path / "alphas"
    for folder in (images, alphas):
        folder.mkdir()
        for name in ("right", "wrong"):
            (folder / f"{name}.png").write_bytes(encoded(picture()[..., 0]))
    (alphas / "wrong.png").write_bytes(encoded(picture(9, 9)[..., 0]))
    assert cvunet("evaluate", "--images", images, "--alphas", alphas, "--engine", "fake") == 1
    assert "wrong: alpha (90, 160) and truth (9, 9)" in capsys.readouterr().err


def test_evaluate_goes_on_past_files_that_cannot_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images, alphas = tmp_path / "images", tmp_path / "alphas"
    for folder in (images, alphas):
        folder.mkdir()
        for name in (b"right", b"bomb", b"\xff"):
            path = os.fsencode(folder) + b"/" + name + b".png"
            Path(os.fsdecode(path)).write_bytes(encoded(picture()[..., 0]))
    (alphas / "bomb.png").write_bytes(huge_png())
    arguments = ["--images", images, "--alphas", alphas, "--engine", "fake"]
    assert cvunet("evaluate", *arguments) == 1
    told = capsys.readouterr()
    assert "bomb: alpha 'bomb.png' cannot be read" in told.err
    assert "\n\\udcff " in told.out
    told.out.encode()


def huge_png() -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + chunk


def test_evaluate_sees_at_once_that_its_report_has_no_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("images", "alphas"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "disc.png").write_bytes(encoded(picture()[..., 0]))
    arguments = ["--images", tmp_path / "images", "--alphas", tmp_path / "alphas"]
    report = tmp_path / "none" / "scores.json"
    assert cvunet("evaluate", *arguments, "--json", report, "--engine", "fake") == 2
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", f"cvunet: {report}: No such file or directory\n")


def test_a_checkpoint_that_does_not_fit_is_named_with_what_differs(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = {f"layer{i}.weight": torch.ones(1) for i in range(9)}
    torch.save(weights, tmp_path / "foreign.pth")
    model = ("--engine", "torch", "--model", tmp_path / "foreign.pth")
    assert cvunet("matte", photo, tmp_path / "out.png", *model) == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    for part in (
        "missing: ",
        "unexpected: layer0.weight, layer1.weight",
        " more",
        "use a checkpoint",
    ):
        assert part in error
    assert not (tmp_path / "out.png").exists()


def test_info_lists_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    assert cvunet("info", "--list-settings") == 0
    printed = capsys.readouterr().out
    rows = list(setting_rows(Settings()))
    assert len(rows) > 10
    for key, _, meaning in rows:
        assert f"{key} = " in printed
        assert meaning, f"{key} has no description"


def test_info_says_what_would_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert cvunet("info", "--engine", "fake") == 0
    printed = capsys.readouterr().out
    for word in ("fake", "sha256", "max_pixels 50,000,000"):
        assert word in printed


def test_help_names_every_option_of_the_api() -> None:
    command = [sys.executable, "-m", "serve_app.cli", "matte", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    for name in (*Options.model_fields, "preset", "background_image", "trimap"):
        assert f"--{name.replace('_', '-')}" in done.stdout
    for values in ("cutout|alpha|composite|trimap", "--erode 0-5", "--crop true|false"):
        assert values in done.stdout
    assert "Accept" not in done.stdout


def test_the_installed_command_answers() -> None:
    command = Path(sys.executable).with_name("cvunet")
    done = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("cvunet-serve ")


def test_bytes_on_disk_are_the_pipelines(photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "alpha.png"
    assert cvunet("matte", photo, out, "--engine", "fake", "--output", "alpha") == 0
    assert Image.open(io.BytesIO(out.read_bytes())).mode == "L"

"""The command as a user runs it, on a real cluster, with a network that computes nothing."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from serve_app.cli import main
from serve_app.engines.fake import FakeEngine
from serve_app.options import Options
from serve_app.pipeline import Pipeline
from serve_app.settings import Settings
from serve_app.types import Upload
from tests.bulk.conftest import Bulk, errors, make_photos, outputs, report
from tests.conftest import encoded, picture


def test_a_folder_is_done_to_the_pixel_and_bad_files_are_named(
    bulk: Bulk, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_photos(photos / "below", 1)
    (photos / "bad.jpg").write_bytes(b"\xff\xd8\xff broken")
    (photos / "gone.jpg").symlink_to(tmp_path / "nowhere")
    out = tmp_path / "out"
    assert bulk(photos, out, "--max-side", "128", "--erode", "1") == 1
    names = [f"{number}.png" for number in range(5)]
    assert outputs(out) == [*names, "below/0.png"]
    settings = Settings()
    pipeline = Pipeline(FakeEngine(), settings.limits, settings.batching.bucket_step)
    options = Options(max_side=128, erode=1)
    for number in range(5):
        expected = pipeline.run(Upload((photos / f"{number}.jpg").read_bytes()), options)
        assert (out / f"{number}.png").read_bytes() == expected.body
    assert errors(out)["bad.png"]["code"] == "invalid_image"
    assert "6 done, 0 done before, 1 failed" in capsys.readouterr().err
    found = report(out)
    assert found["counts"] == {"images": 7, "done": 6, "done_before": 0, "failed": 1}
    assert found["layout"] == "fused"
    assert {"read", "decode", "infer", "post", "encode", "write"} == set(found["stages_ms"])
    page = (out / "report.html").read_text("utf-8")
    assert page.count("<img") == 6
    assert "http" not in page.replace("http-equiv", "")


def test_going_on_does_only_what_is_left(
    bulk: Bulk, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    (photos / "4.jpg").write_bytes(b"not yet")
    assert bulk(photos, out) == 1
    before = {name: (out / name).stat().st_mtime_ns for name in outputs(out)}
    assert bulk(photos, out, "--erode", "2") == 2
    assert "erode=0, not 2" in capsys.readouterr().err
    (photos / "4.jpg").write_bytes(encoded(picture(), "JPEG"))
    assert bulk(photos, out) == 0
    assert {name: (out / name).stat().st_mtime_ns for name in before} == before
    assert outputs(out) == [f"{number}.png" for number in range(5)]
    assert not (out / "errors.jsonl").exists()
    assert report(out)["counts"]["done_before"] == 4
    assert bulk(photos, out) == 0  # nothing left: Ray is not even started
    assert report(out)["layout"] == "none"


def test_staged_gives_the_same_bytes(bulk: Bulk, photos: Path, tmp_path: Path) -> None:
    (photos / "bad.jpg").write_bytes(b"\xff\xd8\xff broken")
    assert bulk(photos, tmp_path / "a", "--layout", "staged") == 1
    assert bulk(photos, tmp_path / "b", "--layout", "fused") == 1
    assert report(tmp_path / "a")["layout"] == "staged"
    assert outputs(tmp_path / "a") == outputs(tmp_path / "b")
    for name in outputs(tmp_path / "a"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_manifest_with_every_kind_of_bad_row(bulk: Bulk, photos: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "list.csv"
    manifest.write_text(
        "uri,name,output,format\n"
        "photos/0.jpg,front,alpha,webp\n"
        "photos/1.jpg,front,alpha,webp\n"
        "photos/2.jpg,shop/x.jpg,,\n"
        "photos/none.jpg,,,\n"
        "photos/3.jpg,../x,,\n"
        "photos/3.jpg,warped,warp,\n"
        "s3://bucket/x.jpg?endpoint_override=127.0.0.1:9&scheme=http&region=x,remote,,\n",
        "utf-8",
    )
    out = tmp_path / "out"
    assert bulk(manifest, out, "--background-image", photos / "4.jpg") == 1
    assert outputs(out) == ["front-2.webp", "front.webp", "shop/x.png"]
    with Image.open(out / "front.webp") as image:
        alpha = np.asarray(image.convert("L"))
    assert alpha.shape == (40, 60)
    found = errors(out)
    assert found["none.png"]["code"] == "not_found"
    assert "leaves DST" in found["../x"]["detail"]
    assert "output=warp" in found["warped"]["detail"]
    assert found["remote.png"]["code"] == "not_accessible"
    assert not (tmp_path / "x.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{tmp}/none", "{tmp}/out"], "no folder, image, glob or manifest"),
        (["{tmp}/empty", "{tmp}/out"], "no images in"),
        (["{tmp}/photos", "{tmp}/photos"], "SRC and DST are both"),
        (["{tmp}/photos", "{tmp}/file/out"], "cannot be used: Not a directory"),
        (["{tmp}/photos", "{tmp}/out", "--erode", "9"], "erode=9"),
        (["{tmp}/photos", "{tmp}/out", "--workers", "0"], "--workers 0"),
        (["{tmp}/list.csv", "{tmp}/out"], "no column 'uri'"),
        (["{tmp}/list.csv", "{tmp}/out", "--watch"], "--watch looks into a folder"),
    ],
)
def test_what_cannot_be_done_at_all_is_one_line_and_exit_2(
    photos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("no folder")
    (tmp_path / "list.csv").write_text("url\na.jpg\n")
    filled = [each.format(tmp=tmp_path) for each in arguments]
    assert main(["bulk", *filled, "--engine", "fake"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("cvunet: ")
    assert message in error
    assert error.count("\n") == 1


def test_all_failed_is_exit_2(bulk: Bulk, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").write_bytes(b"none")
    assert bulk(tmp_path / "in", tmp_path / "out") == 2
    assert errors(tmp_path / "out")["a.png"]["code"] == "unsupported_format"


def test_an_unknown_cluster_is_told(
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "ray://127.0.0.1:9")
    monkeypatch.setenv("RAY_CLIENT_MAX_CONNECT_RETRIES", "1")
    assert main(["bulk", str(photos), str(tmp_path / "out"), "--engine", "fake"]) == 2
    assert "RAY_ADDRESS" in capsys.readouterr().err


def test_the_bytes_of_the_report_are_json(bulk: Bulk, photos: Path, tmp_path: Path) -> None:
    assert bulk(photos / "0.jpg", tmp_path / "out", "--format", "zip") == 0
    assert outputs(tmp_path / "out") == ["0.zip"]
    assert json.loads((tmp_path / "out" / "report.json").read_bytes())["state"] == "complete"

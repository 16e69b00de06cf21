"""The command as a user runs it, on a real cluster, with a network that computes nothing."""

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


def expected(photo: Path, options: Options) -> bytes:
    settings = Settings()
    pipeline = Pipeline(FakeEngine(), settings.limits, settings.batching.bucket_step)
    return pipeline.run(Upload(photo.read_bytes()), options).body


def test_a_folder_to_the_pixel_and_again_for_what_failed(
    bulk: Bulk, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_photos(photos / "below", 1)
    (photos / "bad.jpg").write_bytes(b"\xff\xd8\xff broken")
    (photos / "gone.jpg").symlink_to(tmp_path / "nowhere")
    out = tmp_path / "out"
    command = (photos, out, "--max-side", "128", "--erode", "1")
    assert bulk(*command) == 1
    names = [f"{number}.png" for number in range(5)]
    assert outputs(out) == [*names, "below/0.png"]
    for number in range(5):
        body = expected(photos / f"{number}.jpg", Options(max_side=128, erode=1))
        assert (out / f"{number}.png").read_bytes() == body
    assert errors(out)["bad.png"]["code"] == "invalid_image"
    assert "6 done, 0 done before, 1 failed" in capsys.readouterr().err
    found = report(out)
    assert found["counts"] == {"images": 7, "done": 6, "done_before": 0, "failed": 1}
    assert found["layout"] == "fused"
    assert set(found["stages_ms"]) == {"read", "decode", "infer", "post", "encode", "write"}
    page = (out / "report.html").read_text("utf-8")
    assert page.count("<img") == 6
    assert "http" not in page

    before = {name: (out / name).stat().st_mtime_ns for name in outputs(out)}
    assert bulk(photos, out, "--erode", "2") == 2
    assert "holds a job with max_side=128, not 1024" in capsys.readouterr().err
    (photos / "bad.jpg").write_bytes(encoded(picture(), "JPEG"))
    assert bulk(*command) == 0
    assert {name: (out / name).stat().st_mtime_ns for name in before} == before
    assert outputs(out) == sorted([*before, "bad.png"])
    assert not (out / "errors.jsonl").exists()
    assert report(out)["counts"]["done_before"] == 6

    assert bulk(*command) == 0  # nothing is left: Ray is not even started
    assert report(out)["layout"] == "none"


def test_staged_gives_the_same_bytes(bulk: Bulk, photos: Path, tmp_path: Path) -> None:
    (photos / "bad.jpg").write_bytes(b"\xff\xd8\xff broken")
    out = tmp_path / "out"
    assert bulk(photos, out, "--layout", "staged") == 1
    assert report(out)["layout"] == "staged"
    assert list(errors(out)) == ["bad.png"]
    assert outputs(out) == [f"{number}.png" for number in range(5)]
    for number in range(5):
        body = expected(photos / f"{number}.jpg", Options())
        assert (out / f"{number}.png").read_bytes() == body


def test_a_manifest_with_every_kind_of_bad_row(bulk: Bulk, photos: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "list.csv"
    manifest.write_text(
        "uri,name,output,format\n"
        "photos/0.jpg,front,alpha,webp\n"
        "photos/1.jpg,front,alpha,webp\n"
        "photos/2.jpg,shop/x.jpg,,zip\n"
        "photos/none.jpg,,,\n"
        "photos/3.jpg,../x,,\n"
        "photos/3.jpg,warped,warp,\n"
        f"photos/3.jpg,{'x' * 300},,\n"
        "s3://bucket/x.jpg?endpoint_override=127.0.0.1:9&scheme=http&region=x,remote,,\n",
        "utf-8",
    )
    out = tmp_path / "out"
    assert bulk(manifest, out, "--background-image", photos / "4.jpg") == 1
    assert outputs(out) == ["front-2.webp", "front.webp", "shop/x.zip"]
    with Image.open(out / "front.webp") as image:
        assert np.asarray(image.convert("L")).shape == (40, 60)
    found = errors(out)
    assert found["none.png"]["code"] == "not_found"
    assert "leaves DST" in found["../x"]["detail"]
    assert "output=warp" in found["warped"]["detail"]
    assert "File name too long" in found[f"{'x' * 300}.png"]["detail"]
    assert found["remote.png"]["code"] == "not_accessible"
    assert found["remote.png"]["uri"] == "s3://bucket/x.jpg"
    assert not (tmp_path / "x.png").exists()


def test_all_failed_is_exit_2(bulk: Bulk, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").write_bytes(b"none")
    assert bulk(tmp_path / "in", tmp_path / "out") == 2
    assert errors(tmp_path / "out")["a.png"]["code"] == "unsupported_format"


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

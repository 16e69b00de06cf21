"""Every odd, corrupt and hostile file of the corpus gets the answer its manifest expects."""

import csv
import os
import time
from pathlib import Path

import pytest
from PIL import Image

from serve_app.errors import MattingError
from serve_app.imaging.decode import decode
from serve_app.imaging.header import read_header
from serve_app.settings import Limits
from serve_app.types import Size

CORPUS = Path(__file__).resolve().parents[3] / "shared" / "corpus"
SLOWEST = 10.0  # seconds for one file, on a busy core

# A decoder's warning about a broken file is no fault of ours.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL", "ignore::RuntimeWarning:PIL")


def rows() -> list[dict[str, str]]:
    manifest = CORPUS / "MANIFEST.tsv"
    if not manifest.exists():
        if os.environ.get("CI") == "true":
            pytest.fail(f"no corpus at {CORPUS}: CI must have it")
        pytest.skip(f"no corpus at {CORPUS}")
    with manifest.open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def outcome(data: bytes, limits: Limits) -> tuple[int, Size | None]:
    try:
        return 200, decode(data, limits).size
    except MattingError as exc:
        return exc.status, None


def upright(path: Path, size: Size) -> Size:
    with Image.open(path) as image:
        turned = image.format != "TIFF" and image.getexif().get(0x0112) in (5, 6, 7, 8)
    return size[::-1] if turned else size


def fault(row: dict[str, str], limits: Limits) -> str:
    """Say what is wrong with the answer to a file; nothing if it is right."""
    path = CORPUS / row["file"]
    data = path.read_bytes()
    start = time.perf_counter()
    status, size = outcome(data, limits)
    seconds = time.perf_counter() - start
    if str(status) not in row["expect"].split("|"):
        return f"{row['file']}: {status}, expected {row['expect']} ({row['note']})"
    if row["expect"] == "200":
        expected = upright(path, (int(row["height"]), int(row["width"])))
        if size != expected:
            return f"{row['file']}: size {size}, expected {expected}"
    if status == 200:
        read_header(data, limits)  # what decodes has a header that passes
    return f"{row['file']}: {seconds:.1f} s" if seconds > SLOWEST else ""


def test_every_file_gets_the_expected_answer() -> None:
    limits = Limits()
    faults = [found for row in rows() if (found := fault(row, limits))]
    assert not faults, "\n".join(faults)


def test_many_scans_pass_where_the_limit_allows_them() -> None:
    (bomb,) = (row for row in rows() if "100scans" in row["file"])
    data = (CORPUS / bomb["file"]).read_bytes()
    assert outcome(data, Limits())[0] == 400
    assert outcome(data, Limits(max_jpeg_scans=200)) == (200, (3000, 3000))

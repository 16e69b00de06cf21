"""What SRC may be, and which of its rows and names are refused."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from serve_app.bulk.inputs import Input, read_inputs
from serve_app.errors import InputError, InvalidOption
from serve_app.options import Options, resolve_options
from tests.bulk.conftest import make_photos

PRESETS = {"bulk": {}}


def settle(own: Mapping[str, str]) -> Options:
    return resolve_options(own, PRESETS)


def read(source: object, target: object = "/nowhere") -> list[Input]:
    return read_inputs(str(source), str(target), settle)


def tree(folder: Path) -> Path:
    for name in ("a/1.jpg", "a/b/2.PNG", "c/3.webp", "notes.txt", "a/[x].jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    return folder


def test_a_folder_is_read_with_those_below(tmp_path: Path) -> None:
    names = [each.name for each in read(tree(tmp_path))]
    assert sorted(names) == ["a/1.jpg", "a/[x].jpg", "a/b/2.PNG", "c/3.webp"]


def test_a_folder_as_a_uri_is_the_same(tmp_path: Path) -> None:
    tree(tmp_path)
    assert [each.name for each in read(tmp_path.as_uri())] == [e.name for e in read(tmp_path)]


@pytest.mark.parametrize(
    ("glob", "names"),
    [
        ("a/*.jpg", ["1.jpg", "[x].jpg"]),
        ("**/*.jpg", ["a/1.jpg", "a/[x].jpg"]),
        ("a/**/*", ["1.jpg", "[x].jpg", "b/2.PNG"]),
        ("?/[!3]*", ["a/1.jpg", "a/[x].jpg"]),
        ("a/1.jpg", ["1.jpg"]),
    ],
)
def test_a_glob_names_what_it_matches(tmp_path: Path, glob: str, names: list[str]) -> None:
    found = [each.name for each in read(f"{tree(tmp_path)}/{glob}")]
    assert sorted(found) == sorted(names)


def test_outputs_within_the_source_are_no_inputs(tmp_path: Path) -> None:
    make_photos(tmp_path, 2)
    make_photos(tmp_path / "out", 2)
    assert len(read(tmp_path, tmp_path / "out")) == 2
    (tmp_path / "link").symlink_to(tmp_path / "out")
    assert len(read(tmp_path, tmp_path / "link")) == 2
    with pytest.raises(InputError, match="SRC and DST are both"):
        read(tmp_path / "link", tmp_path / "out")
    with pytest.raises(InputError, match="SRC and DST are both"):
        read(tmp_path, tmp_path)


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no folder, image, glob or manifest"):
        read(tmp_path / "none")
    with pytest.raises(InputError, match=r"none\.csv.*No such file"):
        read(tmp_path / "none.csv")
    with pytest.raises(InputError, match=r"warp://.*cannot be opened"):
        read("warp://x/y")


def test_a_manifest_has_names_and_options_of_its_own(tmp_path: Path) -> None:
    manifest = tmp_path / "list.csv"
    manifest.write_text(
        "uri,name,output,erode\n"
        "a.jpg,,,\n"
        "/b/c.png,shop/front.jpg,alpha,2\n"
        "s3://bucket/d.jpg?x=1,,,\n"
        "e.jpg,../up,,\n"
        "f.jpg,/etc/x,,\n"
        "g.jpg,.cvunet/job,,\n"
        "h.jpg,,warp,\n"
        ",x,,\n"
        "i.jpg,a\n",
        "utf-8",
    )
    rows = read(manifest)
    good = [(row.uri, row.name) for row in rows if not row.error]
    assert good == [
        (f"{tmp_path}/a.jpg", "a.jpg"),
        ("/b/c.png", "shop/front.jpg"),
        ("s3://bucket/d.jpg?x=1", "d.jpg"),
    ]
    assert Options.model_validate_json(rows[1].options).erode == 2
    details = [row.error.detail for row in rows if row.error]
    for detail, words in zip(
        details,
        ["leaves DST", "no path within DST", "job's own", "output=warp", "no uri", "as many cells"],
        strict=True,
    ):
        assert words in detail
    assert isinstance(rows[6].error, InvalidOption)


def test_parquet_is_read_like_csv(tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    table = pa.table({"uri": ["a.jpg", "b.jpg"], "erode": [2, None], "crop": [None, True]})
    parquet.write_table(table, tmp_path / "list.parquet")
    first, second = read(tmp_path / "list.parquet")
    assert Options.model_validate_json(first.options).erode == 2
    assert Options.model_validate_json(second.options).crop
    (tmp_path / "bad.parquet").write_bytes(b"none")
    with pytest.raises(InputError, match="no Parquet file"):
        read(tmp_path / "bad.parquet")


def test_a_name_that_is_no_utf8_fails_alone(tmp_path: Path) -> None:
    make_photos(tmp_path, 1)
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.jpg")).write_bytes(b"x")
    good, bad = read(tmp_path)
    assert (good.name, good.error) == ("0.jpg", None)
    assert bad.error is not None
    assert bad.error.detail == "the name '\\udcff.jpg' is not in UTF-8: rename the file"
    (bad.uri + bad.name).encode()


@pytest.mark.parametrize("source", ["~nobody-of-this-name/photos", "s3://key:secret@[bad/photos"])
def test_what_is_neither_a_path_nor_a_uri(source: str) -> None:
    with pytest.raises(InputError, match="is no path and no URI") as refused:
        read(source)
    assert "secret" not in refused.value.detail

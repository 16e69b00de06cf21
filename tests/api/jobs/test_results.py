"""A result is committed once, and events are told once, whatever was cut short."""

import zipfile
from pathlib import Path

import pytest

from serve_app.api.jobs.events import EventReader, append_event, end_torn_line, read_progress
from serve_app.api.jobs.results import commit, committed, make_zip
from serve_app.api.jobs.storage import Job, JobFolder, JobStorage, write_whole

JOB = Job("0" * 32, "", "", 0.0, "request", "", "", {}, 2)


def outcome(size: int) -> dict[str, object]:
    return {"name": "a.jpg", "status": "done", "media_type": "image/png", "bytes": size}


@pytest.fixture
def folder(tmp_path: Path) -> JobFolder:
    folder = JobStorage(tmp_path, 1).draft()
    folder.write(JOB, [], None)
    return folder


def test_the_first_result_stands(folder: JobFolder) -> None:
    assert commit(folder, 0, outcome(5), b"first") == outcome(5)
    assert commit(folder, 0, outcome(6), b"second") == outcome(5)
    assert committed(folder) == {0}
    commit(folder, 1, {"name": "b", "status": "failed", "code": "c", "detail": "d"})
    make_zip(folder, JOB)
    with zipfile.ZipFile(folder.result) as archive:
        assert archive.namelist() == ["a.png", "manifest.json"]
        assert archive.read("a.png") == b"first"
    assert [path.name for path in folder.path.glob(".*")] == []


def test_an_id_is_given_once(tmp_path: Path) -> None:
    storage = JobStorage(tmp_path, 1)
    drafts = [storage.draft(), storage.draft()]
    for draft in drafts:
        draft.write(JOB, [], None)
    assert storage.publish(drafts[0], JOB.id) is not None
    assert storage.publish(drafts[1], JOB.id) is None
    assert storage.find(JOB.id).job() == JOB


def test_what_cannot_be_written_whole_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "place").mkdir()
    (tmp_path / "place" / "file").touch()
    with pytest.raises(OSError):
        write_whole(tmp_path / "place", b"a folder of that name is in the way")
    assert [path.name for path in tmp_path.iterdir()] == ["place"]


def test_a_torn_line_and_news_told_twice(tmp_path: Path) -> None:
    path = tmp_path / "events"
    end_torn_line(path)
    append_event(path, "queued", {"files": 2})
    append_event(path, "file", {"index": 0, "status": "done"})
    with path.open("ab") as file:
        file.write(b'{"kind": "file", "ti')
    reader = EventReader(path)
    assert [event.id for event in reader.read()] == [1, 2]
    end_torn_line(path)
    append_event(path, "running", {"turn": 2})
    append_event(path, "file", {"index": 0, "status": "done"})
    append_event(path, "file", {"index": 1, "status": "failed"})
    assert [(event.id, event.kind) for event in reader.read()] == [(4, "running"), (6, "file")]
    progress = read_progress(path)
    assert (progress.state, progress.done, len(progress.failures)) == ("running", 1, 1)
    assert (progress.told, progress.last_id) == ({0, 1}, 6)

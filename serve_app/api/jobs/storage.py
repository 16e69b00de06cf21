"""Where jobs are kept: a folder for each, that any replica can go on from.

    <id>/job.json        what was asked for; never changes
         files.json      its inputs in their order; their bytes stand in `inputs`
         background      the file behind every image, where there is one
         lease.1, .2     whose turn it is: see `lease`
         results/7       what became of input 7: see `results`
         events.jsonl    what happened: see `events`
         result.zip      made once every input has a result
         settled         nothing is left to do
         expired         its time is over, or it was deleted: nothing but job.json is left
    .new-<random>/       an upload; its name becomes the job's id once it is whole
    .gone-<random>/      a job on its way out

The rename that gives a folder its id is what makes it a job: at once, whole, and never twice under
one id. Small files are written beside their place and renamed.
"""

import errno
import json
import os
import re
import secrets
import shutil
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from serve_app.errors import NotFound

_ID = re.compile(r"[0-9a-f]{32}")
_NEW, _GONE = ".new-", ".gone-"


@dataclass(frozen=True, slots=True)
class Job:
    """What was asked for."""

    id: str
    owner: str  # whose key; empty where no keys are asked for
    digest: str  # of the request's content
    created: float  # unix time, s
    request_id: str
    webhook: str  # URL, or empty
    prefix: str  # of the application that took it, for the URLs in its status
    options: dict[str, Any]  # of every input that has none of its own
    total: int  # inputs


@dataclass(frozen=True, slots=True)
class JobFile:
    """One input: bytes within `inputs`, or a URI; or what is wrong with its row of the manifest."""

    name: str
    uri: str = ""
    offset: int = 0  # bytes
    length: int = 0  # bytes
    size: int = 0  # bytes; more than `length` where it is over the limit and was not kept
    options: dict[str, Any] | None = None  # its own
    code: str = ""  # of the row's error
    detail: str = ""


class JobFolder:
    """The folder of one job."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.events = path / "events.jsonl"
        self.results = path / "results"
        self.result = path / "result.zip"

    @property
    def id(self) -> str:
        return self.path.name

    @property
    def is_there(self) -> bool:
        return self.path.is_dir()

    @property
    def is_settled(self) -> bool:
        return (self.path / "settled").exists()

    @property
    def is_expired(self) -> bool:
        return (self.path / "expired").exists()

    def job(self) -> Job:
        return Job(**json.loads((self.path / "job.json").read_bytes()))

    def files(self) -> list[JobFile]:
        return [JobFile(**file) for file in json.loads((self.path / "files.json").read_bytes())]

    def background(self) -> bytes | None:
        path = self.path / "background"
        return path.read_bytes() if path.exists() else None

    def input(self, file: JobFile) -> bytes:
        with (self.path / "inputs").open("rb") as inputs:
            inputs.seek(file.offset)
            return inputs.read(file.length)

    def write(self, job: Job, files: list[JobFile], background: bytes | None) -> None:
        """Write down what was asked for; `inputs` is there already."""
        self.results.mkdir()
        if background is not None:
            write_whole(self.path / "background", background)
        write_whole(self.path / "files.json", _json([asdict(file) for file in files]))
        write_whole(self.path / "job.json", _json(asdict(job)))

    def settle(self) -> None:
        """Say that nothing is left to do."""
        write_whole(self.path / "settled", b"")

    def drop_inputs(self) -> None:
        """Free the room of what `result.zip` is made from."""
        for name in ("inputs", "background"):
            (self.path / name).unlink(missing_ok=True)
        shutil.rmtree(self.results, ignore_errors=True)

    def expire(self) -> None:
        """Leave a note of the job and nothing of its content."""
        write_whole(self.path / "expired", b"")
        self.drop_inputs()
        for path in self.path.iterdir():
            if path.name not in ("job.json", "expired", "settled"):
                path.unlink(missing_ok=True)


class JobStorage:
    """All jobs of a service."""

    def __init__(self, root: Path, keep_s: float) -> None:
        self._root = root
        self._keep_s = keep_s

    def draft(self) -> JobFolder:
        """A folder for an upload."""
        path = self._root / f"{_NEW}{secrets.token_hex(16)}"
        path.mkdir(parents=True)
        return JobFolder(path)

    def publish(self, draft: JobFolder, id: str) -> JobFolder | None:
        """Make the draft a job. None where there is one of this id."""
        sync_folder(draft.path)
        try:
            path = draft.path.rename(self._root / id)
        except OSError as exc:
            # Whatever was in the way may itself be on its way out by now.
            if exc.errno in (errno.ENOTEMPTY, errno.EEXIST) or (self._root / id).is_dir():
                return None
            raise
        sync_folder(self._root)
        return JobFolder(path)

    def find(self, id: str) -> JobFolder:
        """The folder of a job. Raises NotFound."""
        folder = JobFolder(self._root / id)
        if not _ID.fullmatch(id) or not folder.is_there:
            raise no_such_job(id)
        return folder

    def jobs(self) -> list[JobFolder]:
        return [JobFolder(path) for path in self._paths() if _ID.fullmatch(path.name)]

    def drafts(self) -> list[JobFolder]:
        return [JobFolder(path) for path in self._paths() if path.name.startswith(_NEW)]

    def waiting(self) -> int:
        """How many jobs are not finished."""
        return sum(not folder.is_settled for folder in self.jobs())

    def remove(self, folder: JobFolder) -> None:
        """Take a job or a draft away: at once for everybody, then its content."""
        gone = self._root / f"{_GONE}{secrets.token_hex(8)}"
        try:
            folder.path.rename(gone)
        except FileNotFoundError:
            return
        shutil.rmtree(gone, ignore_errors=True)

    def delete(self, folder: JobFolder) -> None:
        """Remove a job and leave a note of it, as when its time is over.

        Its id is not free again until that is forgotten: who still works on it must never find
        another job in its place.
        """
        try:
            job = (folder.path / "job.json").read_bytes()
        except FileNotFoundError:  # somebody else is about to remove it
            return
        note = self.draft()
        write_whole(note.path / "job.json", job)
        write_whole(note.path / "expired", b"")
        self.remove(folder)
        if self.publish(note, folder.id) is None:
            self.remove(note)

    def free_bytes(self) -> int:
        self._root.mkdir(parents=True, exist_ok=True)
        return shutil.disk_usage(self._root).free

    def clean(self) -> None:
        """Empty what is past its time, forget what has long been, finish removals cut short."""
        for path in self._paths():
            if path.name.startswith(_GONE):
                shutil.rmtree(path, ignore_errors=True)
        for folder in self.jobs():
            if folder.is_expired:
                if _age_s(folder.path / "expired") > self._keep_s:
                    self.remove(folder)
            elif folder.is_settled and _age_s(folder.path / "settled") > self._keep_s:
                with suppress(FileNotFoundError):  # another replica is about it, or it was deleted
                    folder.expire()

    def _paths(self) -> list[Path]:
        return sorted(self._root.iterdir()) if self._root.is_dir() else []


def no_such_job(id: str) -> NotFound:
    return NotFound(f"no job '{id[:64]}' here: its id is in the answer to POST /v1/jobs")


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all, whatever happens meanwhile."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Bring what was created or renamed in a folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _age_s(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()

"""One image of a job: read, prepare, predict, finish, write; whatever fails, fails for it alone."""

import errno
import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from serve_app.batching import BatchItem
from serve_app.bulk.places import OWN, Folder, LocalFolder, open_folder, read_uri
from serve_app.bulk.plan import Task
from serve_app.errors import InternalError, MattingError, StorageFull
from serve_app.imaging.decode import Decode, decode
from serve_app.options import Options
from serve_app.postprocess import finish
from serve_app.preprocess import prepare
from serve_app.settings import Settings
from serve_app.timing import timed
from serve_app.types import Prediction, Prepared, Upload

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_MIN_FREE = 1_000_000  # bytes; below it nothing is worked on, since it could not be written
_TRIES = 2  # of an image whose process died

T = TypeVar("T")


@dataclass(frozen=True)
class Job:
    """What every worker is told."""

    settings: Settings
    options: Options
    background: bytes | None
    target: str  # DST
    run: str  # a name that no other run has


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one image."""

    name: str
    uri: str
    code: str = ""  # of the error; empty: done
    detail: str = ""
    bytes_in: int = 0
    bytes_out: int = 0
    again: bool = False  # it was there already: a worker died after it
    started: float = 0.0  # unix time, s
    ended: float = 0.0
    timings: Mapping[str, float] = field(default_factory=dict)  # ms by stage


@dataclass(frozen=True, slots=True)
class Ready:
    """An image between the stages."""

    task: Task
    bytes_in: int
    started: float  # unix time, s
    prepared: Prepared
    prediction: Prediction | None = None

    @property
    def item(self) -> BatchItem:
        return BatchItem(self.prepared.rgb, self.prepared.trimap)


class ImageWork:
    """The stages before and after the network."""

    def __init__(self, job: Job, decode: Decode = decode) -> None:
        self._job = job
        self._decode = decode
        self._folder = open_folder(job.target)
        self._claims = Claims(self._folder, job.run)

    def take(self, task: Task) -> Ready | Outcome:
        """Read and prepare; an outcome where that ends it."""
        return self._guarded(task, lambda: self._take(task))

    def give(self, ready: Ready) -> Outcome:
        """Finish and write."""
        outcome = self._guarded(ready.task, lambda: self._give(ready))
        self._claims.drop(ready.task)
        return outcome

    def drop(self, task: Task) -> None:
        """An image that came to its end elsewhere."""
        self._claims.drop(task)

    def _take(self, task: Task) -> Ready | Outcome:
        if found := self._folder.find(task.name):
            # A worker died and its images were given to another one: this one was done.
            return Outcome(task.name, task.uri, bytes_out=found.size, again=True)
        self._claims.take(task)
        check_room(self._folder)
        timings: dict[str, float] = {}
        started = time.time()
        with timed(timings, "read"):
            data = read_uri(task.uri)
        settings = self._job.settings
        prepared = prepare(
            Upload(data, self._job.background),
            self._options(task),
            settings.limits,
            settings.batching.bucket_step,
            self._decode,
        )
        timings |= prepared.timings
        return Ready(task, len(data), started, replace(prepared, timings=timings))

    def _give(self, ready: Ready) -> Outcome:
        assert ready.prediction is not None  # noqa: S101 - the stage before saw to it
        result = finish(ready.prepared, ready.prediction, self._options(ready.task))
        timings = dict(result.timings)
        with timed(timings, "write"):
            self._folder.write(ready.task.name, result.body)
        return Outcome(
            ready.task.name,
            ready.task.uri,
            bytes_in=ready.bytes_in,
            bytes_out=len(result.body),
            started=ready.started,
            ended=time.time(),
            timings=timings,
        )

    def _options(self, task: Task) -> Options:
        return Options.model_validate_json(task.options) if task.options else self._job.options

    def _guarded(self, task: Task, work: Callable[[], T]) -> T | Outcome:
        try:
            return work()
        except Exception as exc:
            self._claims.drop(task)
            return failure(task, exc)


class Claims:
    """Says what is being worked on, so that an image that kills its process isn't tried for ever.

    A file for each try: in DST where that is a folder, else where this machine keeps what is
    temporary.
    """

    def __init__(self, folder: Folder, run: str) -> None:
        if isinstance(folder, LocalFolder):
            self._place = folder.root / OWN / "claims"
        else:
            self._place = Path(tempfile.gettempdir()) / f"cvunet-bulk-{run}"

    def take(self, task: Task) -> None:
        """Raises InternalError where this was tried before, and ended with its process."""
        self._place.mkdir(parents=True, exist_ok=True)
        for claim in self._of(task):
            try:
                claim.touch(exist_ok=False)
            except FileExistsError:
                continue
            return
        self.drop(task)
        raise InternalError(
            f"the process that worked on it died {_TRIES} times: see that the machine has memory "
            "enough, or leave the image out"
        )

    def drop(self, task: Task) -> None:
        for claim in self._of(task):
            claim.unlink(missing_ok=True)

    def _of(self, task: Task) -> list[Path]:
        name = _short(task.name)
        return [self._place / f"{name}.{number}" for number in range(1, _TRIES + 1)]


def _short(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def check_room(folder: Folder) -> None:
    """See that a local DST has room left. Raises StorageFull."""
    if isinstance(folder, LocalFolder) and shutil.disk_usage(folder.root).free < _MIN_FREE:
        raise _storage_full(folder.name)


def failure(task: Task, exc: Exception) -> Outcome:
    """What an exception means for the image."""
    if isinstance(exc, MattingError):
        return Outcome(task.name, task.uri, exc.code, exc.detail)
    if isinstance(exc, OSError):
        if exc.errno in _FULL:
            full = _storage_full(str(exc.filename or "DST"))
            return Outcome(task.name, task.uri, full.code, full.detail)
        code = "not_found" if isinstance(exc, FileNotFoundError) else "not_accessible"
        return Outcome(task.name, task.uri, code, f"{exc.filename or ''}: {exc.strerror or exc}")
    return Outcome(task.name, task.uri, "internal_error", f"{type(exc).__name__}: {exc}")


def _storage_full(place: str) -> StorageFull:
    return StorageFull(f"there is no room left in '{place}': make some, then run this again")


def as_row(outcome: Outcome) -> dict[str, Any]:
    """For a table of Arrow."""
    values = {name: getattr(outcome, name) for name in Outcome.__dataclass_fields__}
    return {**values, "timings": json.dumps(dict(outcome.timings))}


def from_row(row: Mapping[str, Any]) -> Outcome:
    return Outcome(**{**row, "timings": json.loads(row["timings"])})

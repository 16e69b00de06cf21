"""What a job knows of itself, in `DST/.cvunet`, so that a run goes on where one was broken off.

    job.json            what was asked for: another wish is refused
    plan/000001.jsonl   whose which output is, written before any of them is
    done/000001.jsonl   sizes of outputs that were finished, written now and then
    lock                held while a run works here (local folders)
    parts/, claims/     what is being written, and worked on, right now (local folders)

An output appears whole under its own name, so that it is there says that it is done. One that is
in no `done` segment yet is looked into before it is believed.
"""

import fcntl
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import IO, Any

from serve_app.bulk.places import OWN, Folder, LocalFolder
from serve_app.errors import InputError

_JOB = f"{OWN}/job.json"

Owner = tuple[str, str]  # an output's name, and the stamp of its input


class Ledger:
    """Reads what is there at once; what is added is written at once."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._lock = _locked(folder)
        self.outputs = {found.path: found.size for found in folder.files()}
        self._own = sorted(path for path in self.outputs if path.startswith(f"{OWN}/"))
        for path in self._own:
            del self.outputs[path]
        self.is_new = _JOB not in self._own
        self.plan: dict[str, Owner] = {}  # by input
        self.done: dict[str, int] = {}  # bytes, by output
        self._counts = {"plan": 0, "done": 0}
        self._damaged = ""
        if not self.is_new:
            self._read_segments()

    def begin(self, wish: Mapping[str, Any]) -> None:
        """Note what is asked for, or see that it is the same as before.

        Raises:
            InputError: the job in this folder was asked for something else, or its ledger is
                damaged.
        """
        if self.is_new:
            self._folder.write(_JOB, json.dumps(wish, indent=1, ensure_ascii=False).encode())
            self.is_new = False
            return
        if self._damaged:
            raise self._unreadable(self._damaged)
        try:
            before = dict(json.loads(self._folder.read(_JOB)))
        except (ValueError, TypeError) as exc:
            raise self._unreadable(_JOB) from exc
        for key, value in json.loads(json.dumps(wish)).items():
            if before.get(key) != value:
                raise InputError(
                    f"DST '{self._folder.name}' holds a job with {_difference(key, before, value)}:"
                    " run it as before to go on, give another DST, or --restart to do all of it "
                    "again"
                )

    def restart(self, names: Iterable[str]) -> None:
        """Forget the job, and remove its outputs and what else has one of these names."""
        # job.json goes first: broken off in between, the next run finds outputs of nobody.
        for path in [_JOB, *(p for p in self._own if p not in (_JOB, f"{OWN}/lock"))]:
            self._folder.remove(path)
        for name in {*names, *(name for name, _ in self.plan.values())} & set(self.outputs):
            self._folder.remove(name)
            del self.outputs[name]
        self.plan, self.done, self.is_new = {}, {}, True
        self._own, self._counts, self._damaged = [], {"plan": 0, "done": 0}, ""

    def forget(self, name: str) -> None:
        """Remove an output that is to be made again."""
        self._folder.remove(name)
        self.outputs.pop(name, None)
        self.done.pop(name, None)

    def assign(self, owners: Mapping[str, Owner]) -> None:
        """Note whose which output is; none of them may be made before."""
        if owners:
            self.plan.update(owners)
            self._append("plan", ([key, *owner] for key, owner in owners.items()))

    def note(self, sizes: Mapping[str, int]) -> None:
        """Note outputs that are finished."""
        if sizes:
            self._append("done", sizes.items())
            self.done.update(sizes)
            self.outputs.update(sizes)

    def close(self) -> None:
        if self._lock:
            self._lock.close()

    def _append(self, kind: str, rows: Iterable[Any]) -> None:
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        number = self._counts[kind] + 1
        self._folder.write(f"{OWN}/{kind}/{number:06}.jsonl", text.encode())
        self._counts[kind] = number

    def _read_segments(self) -> None:
        for path in self._own:
            kind = path.split("/")[1]
            if kind not in self._counts or not path.endswith(".jsonl"):
                continue
            self._counts[kind] = int(path.rpartition("/")[2].removesuffix(".jsonl"))
            try:
                self._take(kind, _rows(self._folder.read(path)))
            except (ValueError, TypeError):
                # An output of which no size is known is looked into; whose it is nothing else says.
                self._damaged = path if kind == "plan" else self._damaged

    def _take(self, kind: str, rows: Iterable[Any]) -> None:
        for key, *values in rows:
            if kind == "plan":
                name, stamp = values
                self.plan[key] = (name, stamp)
            else:
                (self.done[key],) = values

    def _unreadable(self, path: str) -> InputError:
        return InputError(
            f"DST '{self._folder.name}' holds a job of which '{path}' cannot be read: give another "
            "DST, or --restart to do all of it again"
        )


def _rows(segment: bytes) -> list[Any]:
    """Its lines; empty, as a disk that lost its power leaves it, it is damaged."""
    if not segment.endswith(b"\n"):
        raise ValueError("it is cut short")
    return [json.loads(line) for line in segment.removesuffix(b"\n").split(b"\n")]


def _locked(folder: Folder) -> IO[bytes] | None:
    """Hold the folder for this process alone; the kernel lets go when it ends, however it ends."""
    if not isinstance(folder, LocalFolder):
        return None
    path = folder.root / OWN / "lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        file.close()
        raise InputError(
            f"another run works on DST '{folder.name}': wait for it, or end it"
        ) from exc
    return file


def _difference(key: str, before: Mapping[str, Any], value: Any) -> str:
    was = before.get(key)
    if isinstance(was, dict) and isinstance(value, dict):
        for name in value:
            if was.get(name) != value[name]:
                return f"{name}={was.get(name)}, not {value[name]}"
    return f"{key} '{was}', not '{value}'"


def own_folders(folder: Folder) -> None:
    """Clear what the last run was at when it was broken off."""
    folder.clear_parts()
    if isinstance(folder, LocalFolder):
        with suppress(FileNotFoundError):
            for claim in (folder.root / OWN / "claims").iterdir():
                claim.unlink(missing_ok=True)

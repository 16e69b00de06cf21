"""What became of each input, committed once, and the ZIP made from it.

`results/7` is a line of JSON, then the file. It is written under another name and linked to its
own: a link fails where there is one already, so of two replicas that both believe it is their turn
the first one's result stands, and the other's is dropped.
"""

import json
import os
import secrets
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from serve_app.api.archive import OutputNames
from serve_app.api.jobs.storage import Job, JobFolder, sync_folder

Outcome = Mapping[str, Any]
"""`name`, `status`, then `media_type`, `bytes`, `width`, `height`; or `code` and `detail`."""


def commit(folder: JobFolder, index: int, outcome: Outcome, body: bytes = b"") -> Outcome:
    """Keep what became of an input; gives what stands there, which may be another replica's."""
    path = folder.results / str(index)
    part = folder.results / f".{index}.{secrets.token_hex(4)}"
    try:
        with part.open("xb") as file:
            file.write(json.dumps(outcome, ensure_ascii=False).encode() + b"\n")
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        os.link(part, path)
    except FileExistsError:
        return outcome_of(folder, index)
    finally:
        part.unlink(missing_ok=True)
    return outcome


def committed(folder: JobFolder) -> set[int]:
    """The inputs that have a result."""
    return {int(path.name) for path in folder.results.iterdir() if path.name.isdecimal()}


def outcome_of(folder: JobFolder, index: int) -> Outcome:
    with (folder.results / str(index)).open("rb") as file:
        outcome: Outcome = json.loads(file.readline())
        return outcome


def make_zip(folder: JobFolder, job: Job) -> None:
    """Write `result.zip`: the outputs in the order of the inputs, then manifest.json."""
    part = folder.path / f".result.{secrets.token_hex(4)}"
    try:
        with part.open("xb") as file:
            _write_zip(folder, job, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED))
            file.flush()
            os.fsync(file.fileno())
        part.replace(folder.result)
    finally:
        part.unlink(missing_ok=True)
    sync_folder(folder.path)


def _write_zip(folder: JobFolder, job: Job, archive: zipfile.ZipFile) -> None:
    names, files = OutputNames(), []
    with archive:
        for index in range(job.total):
            files.append(_add(archive, folder.results / str(index), names))
        manifest = {"request_id": job.request_id, "files": files}
        text = json.dumps(manifest, ensure_ascii=False, indent=1).encode()
        archive.writestr(_entry("manifest.json", len(text)), text)


def _add(archive: zipfile.ZipFile, path: Path, names: OutputNames) -> dict[str, Any]:
    with path.open("rb") as file:
        outcome: dict[str, Any] = json.loads(file.readline())
        if outcome["status"] != "done":
            return {"output": None, **outcome}
        output = names.name(outcome["name"], outcome.pop("media_type"))
        with archive.open(_entry(output, outcome["bytes"]), "w") as entry:
            shutil.copyfileobj(file, entry)
    return {"output": output, **outcome}


def _entry(name: str, size: int) -> zipfile.ZipInfo:
    # A fixed date: the same images give the same bytes.
    entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    entry.file_size = size  # tells early whether ZIP64 is needed
    return entry

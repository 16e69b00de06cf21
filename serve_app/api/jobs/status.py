"""What a job's status says."""

import json
from datetime import UTC, datetime
from typing import Any

from serve_app.api.jobs.events import ENDS, Progress, read_progress
from serve_app.api.jobs.storage import Job, JobFolder

_FAILURE = ("index", "name", "code", "detail")


def status_document(job: Job, progress: Progress, keep_s: float) -> dict[str, Any]:
    """The status as JSON values."""
    url = f"{job.prefix}/v1/jobs/{job.id}"
    finished = progress.finished
    failed = len(progress.failures)
    status: dict[str, Any] = {
        "id": job.id,
        "state": progress.state,
        "created": _text(job.created),
        "finished": None if finished is None else _text(finished),
        "expires": None if finished is None else _text(finished + keep_s),
        "files": {
            "total": job.total,
            "done": progress.done,
            "failed": failed,
            "waiting": job.total - progress.done - failed,
        },
        "errors": [
            {name: failure.get(name, "") for name in _FAILURE}
            for failure in sorted(progress.failures, key=lambda failure: failure["index"])
        ],
        "status_url": url,
        "events_url": f"{url}/events",
        "result_url": f"{url}/result" if progress.state == "done" else None,
    }
    if progress.state in ENDS and progress.error is not None:
        status["error"] = dict(progress.error)
    return status


def status_json(folder: JobFolder, job: Job, keep_s: float) -> bytes:
    """The status, read and written out. Raises FileNotFoundError where the job is gone."""
    status = status_document(job, read_progress(folder.events), keep_s)
    return json.dumps(status, ensure_ascii=False).encode()


def _text(time_s: float) -> str:
    return datetime.fromtimestamp(time_s, UTC).isoformat(timespec="milliseconds")

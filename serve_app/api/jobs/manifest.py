"""The manifest of a job: a CSV whose rows become its files."""

from serve_app.api.jobs.storage import JobFile
from serve_app.errors import InputError
from serve_app.manifest import ManifestRow, Settle, check_rows, read_csv, read_row


def read_manifest(data: bytes, settle: Settle, max_files: int) -> list[JobFile]:
    """Read the rows; `settle` makes the options of one that has its own.

    Raises:
        InputError: no CSV in UTF-8, no column `uri`, or too many rows.
        MissingImage: no rows.
    """
    rows = read_csv(data, max_files + 1)  # each is far larger than its line
    check_rows(rows)
    if len(rows) > max_files:
        raise InputError(
            f"over {max_files} rows in the manifest, the limit: send the rest as another job"
        )
    return [_file(read_row(number, row, settle)) for number, row in enumerate(rows, 1)]


def _file(row: ManifestRow) -> JobFile:
    if row.error:
        return JobFile(row.name, row.uri, code=row.error.code, detail=row.error.detail)
    return JobFile(row.name, row.uri, options=row.options.model_dump() if row.options else None)

"""Files that are there whole or not at all."""

import secrets
from pathlib import Path


def replace_file(path: Path, content: bytes) -> None:
    """Write beside `path` and move into its place: whoever looks meanwhile sees a whole file or
    none, and several may do it at once. What could not be written leaves nothing behind.

    It is not on disk for sure before the system puts it there: a power cut may take it.

    Raises:
        OSError: it cannot be written.
    """
    part = path.with_name(f".{secrets.token_hex(8)}.part")  # however long the file's own name
    try:
        part.write_bytes(content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)

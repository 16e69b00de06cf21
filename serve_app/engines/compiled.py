"""A graph compiled by OpenVINO, kept on disk: it takes a second to compile, a fifth to read.

What it compiles to depends on its version and on the CPU's instructions, so that the file's name
holds both beside the graph's own sum. The file starts with the sum of what follows: one that was
cut short is made again, not read.
"""

import hashlib
import io
import logging
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from serve_app.engines.availability import cpu_flags
from serve_app.files import replace_file

logger = logging.getLogger("ray.serve.cvunet")

_FORMAT = "1"  # changes with how the graph is brought to OpenVINO
_SUM_BYTES = hashlib.sha256().digest_size


def compiled_for_all_sizes(
    core: Any, content: bytes, options: Mapping[str, Any], kept: Path | None
) -> bytes:
    """Compile an ONNX file for one image of any size, or take what was kept of it.

    Args:
        core: an `openvino.Core`.
        content: the ONNX file.
        options: properties of the compiled model; `import_model` has to be given the same.
        kept: file to keep it in; None keeps nothing.

    Returns:
        What `core.import_model` reads.
    """
    if kept is not None and (found := _read(kept)) is not None:
        return found
    model = core.read_model(content)
    model.reshape({"rgb": [1, -1, -1, 3], "trimap": [1, -1, -1]})
    stream = io.BytesIO()
    core.compile_model(model, "CPU", options).export_model(stream)
    if kept is not None:
        _write(kept, stream.getvalue())
    return stream.getvalue()


def kept_path(folder: Path, content: bytes, version: str, options: Mapping[str, Any]) -> Path:
    """Where a graph compiled by a version of OpenVINO for this CPU is kept."""
    sha = hashlib.sha256(content)
    for part in (_FORMAT, version, sorted(options.items()), platform.machine(), cpu_flags()):
        sha.update(repr(part).encode() + b"\n")
    return folder / f"{sha.hexdigest()[:32]}.openvino"


def _read(path: Path) -> bytes | None:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as exc:
        logger.warning("compiled graph '%s' cannot be read (%s): it is made again", path, exc)
        return None
    if hashlib.sha256(data[_SUM_BYTES:]).digest() != data[:_SUM_BYTES]:
        logger.warning("compiled graph '%s' is not whole: it is made again", path)
        return None
    return data[_SUM_BYTES:]


def _write(path: Path, compiled: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, hashlib.sha256(compiled).digest() + compiled)
    except OSError as exc:
        logger.warning(
            "model.cache_path '%s' cannot be written (%s): the graph is compiled at every start",
            path.parent,
            exc.strerror,
        )

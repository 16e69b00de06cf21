"""Whether a checkpoint on disk is whole, said before anything heavy is started; without torch."""

import hashlib
import json
from pathlib import Path
from typing import Any

from serve_app.errors import CheckpointError

_MAX_HEADER = 100_000_000  # bytes; the format's own bound
# safetensors' names of types, as torch writes them into the digest.
_TYPES = {
    "F64": "torch.float64",
    "F32": "torch.float32",
    "F16": "torch.float16",
    "BF16": "torch.bfloat16",
    "I64": "torch.int64",
    "I32": "torch.int32",
    "U8": "torch.uint8",
    "BOOL": "torch.bool",
}


def check_file(path: Path) -> str | None:
    """See that a model is there, and that a `.safetensors` file holds what its header says.

    Returns:
        The sha256 of the tensors, as `checkpoint.digest` gives it; None for a file of another kind.

    Raises:
        CheckpointError: no such file, cut short, or altered since it was written.
    """
    if not path.is_file():
        raise CheckpointError(
            f"model_path '{path}' is not a file: set model_path (or CVUNET_MODEL_PATH) to a "
            ".safetensors or .pth checkpoint, or an .onnx file"
        )
    if path.suffix != ".safetensors":
        return None
    try:
        header, tensors = _read(path)
        said = header.get("__metadata__", {}).get("sha256")
        found = _digest(header, tensors)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
        raise CheckpointError(
            f"checkpoint '{path}' cannot be read ({exc}): copy it again from where it came"
        ) from exc
    if said is not None and said != found:
        raise CheckpointError(
            f"checkpoint '{path}' has been altered: its tensors have sha256 {found[:12]}..., its "
            f"header says {said[:12]}...; copy it again from where it came"
        )
    return found


def _read(path: Path) -> tuple[dict[str, Any], bytes]:
    """The JSON header, behind its length in 8 bytes, and all tensors behind it."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 0 < length < _MAX_HEADER:
            raise ValueError("it has no safetensors header")
        header: dict[str, Any] = json.loads(file.read(length))
        tensors = file.read()
    end = max((t["data_offsets"][1] for name, t in header.items() if name[:2] != "__"), default=0)
    if end != len(tensors):
        raise ValueError(f"its tensors take {end:,} bytes and {len(tensors):,} are there")
    return header, tensors


def _digest(header: dict[str, Any], tensors: bytes) -> str:
    """As `checkpoint.digest`: names, types, shapes and bytes, in name order."""
    sha = hashlib.sha256()
    for name in sorted(header):
        if name == "__metadata__":
            continue
        tensor = header[name]
        shape = tuple(tensor["shape"])
        sha.update(f"{name} {_TYPES[tensor['dtype']]} {shape}\n".encode())
        start, end = tensor["data_offsets"]
        sha.update(memoryview(tensors)[start:end])
    return sha.hexdigest()

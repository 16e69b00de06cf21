"""Weights on disk: one safetensors file that says what it is and proves that it is whole.

The file's metadata holds `architecture`, `config` (JSON), `version`, `metrics` (JSON) and `sha256`
of the tensors. A plain `.pth` state dict, the form the original project ships, loads too; it
carries no metadata, so it has to fit the default configuration.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from serve_app.errors import CheckpointError
from serve_app.models.unet import UNetMatting

ARCHITECTURE = "UNetMatting"
_KEYS_SHOWN = 3


@dataclass(frozen=True, slots=True)
class CheckpointInfo:
    """What a checkpoint says about itself."""

    name: str  # file name without suffix
    version: str
    sha256: str  # hex, over the tensors
    config: Mapping[str, object] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)


def save_checkpoint(
    path: Path, model: UNetMatting, *, version: str, metrics: Mapping[str, float]
) -> CheckpointInfo:
    """Write the model's weights as `.safetensors`, replacing the file in one step."""
    tensors = {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
    config = asdict(model.config)
    info = CheckpointInfo(path.stem, version, digest(tensors), config, dict(metrics))
    metadata = {
        "architecture": ARCHITECTURE,
        "config": json.dumps(config),
        "version": version,
        "metrics": json.dumps(dict(metrics)),
        "sha256": info.sha256,
    }
    part = path.with_suffix(".part")
    save_file(tensors, part, metadata)
    part.chmod(0o644)  # safetensors lets only the owner read; a service often runs as another user
    part.replace(path)
    return info


def load_checkpoint(path: Path) -> tuple[UNetMatting, CheckpointInfo]:
    """Read a `.safetensors` or `.pth` checkpoint; the model comes back in eval mode on the CPU.

    Raises:
        CheckpointError: no such file, not readable, altered since it was written, or made for
            another network (the first differing keys are named).
    """
    if not path.is_file():
        raise CheckpointError(
            f"model_path '{path}' is not a file: set model_path (or CVUNET_MODEL_PATH) to a "
            ".safetensors or .pth checkpoint"
        )
    if path.suffix == ".safetensors":
        return _load_safetensors(path)
    if path.suffix in (".pth", ".pt"):
        return _load_state_dict(path)
    raise CheckpointError(
        f"model_path '{path}' ends in '{path.suffix}': a checkpoint is .safetensors, .pth or .pt"
    )


def digest(tensors: Mapping[str, Tensor]) -> str:
    """sha256 over names, types, shapes and bytes, in name order."""
    sha = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        sha.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        sha.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return sha.hexdigest()


def _load_safetensors(path: Path) -> tuple[UNetMatting, CheckpointInfo]:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as exc:
        raise CheckpointError(
            f"checkpoint '{path}' cannot be read ({exc}): copy it again from where it came"
        ) from exc
    if metadata.get("architecture", ARCHITECTURE) != ARCHITECTURE:
        raise CheckpointError(
            f"checkpoint '{path}' holds a '{metadata['architecture']}', not a {ARCHITECTURE}"
        )
    sha256 = digest(tensors)
    if metadata.get("sha256", sha256) != sha256:
        raise CheckpointError(
            f"checkpoint '{path}' has been altered: its tensors have sha256 {sha256[:12]}..., its "
            f"header says {metadata['sha256'][:12]}...; copy it again from where it came"
        )
    try:
        config = json.loads(metadata.get("config", "{}"))
        metrics = json.loads(metadata.get("metrics", "{}"))
        config = {k: tuple(v) if isinstance(v, list) else v for k, v in config.items()}
        model = UNetMatting(**config)
    except (ValueError, TypeError, AttributeError) as exc:
        raise CheckpointError(
            f"checkpoint '{path}' has a configuration this version does not know: {exc}"
        ) from exc
    _fill(model, tensors, path)
    version = metadata.get("version", "unknown")
    return model, CheckpointInfo(path.stem, version, sha256, config, metrics)


def _load_state_dict(path: Path) -> tuple[UNetMatting, CheckpointInfo]:
    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as exc:  # broken bytes make the unpickler raise nearly anything
        raise _not_a_state_dict(path) from exc
    if not isinstance(tensors, dict) or not all(isinstance(v, Tensor) for v in tensors.values()):
        raise _not_a_state_dict(path)
    model = UNetMatting()
    _fill(model, tensors, path)
    return model, CheckpointInfo(path.stem, "unknown", digest(tensors), asdict(model.config))


def _not_a_state_dict(path: Path) -> CheckpointError:
    return CheckpointError(
        f"checkpoint '{path}' is not a plain state dict of tensors: save it with "
        "torch.save(model.state_dict(), path)"
    )


def _fill(model: UNetMatting, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Load the weights, or say how they differ from what the network has."""
    expected = model.state_dict()
    missing = [k for k in expected if k not in tensors]
    unexpected = [k for k in tensors if k not in expected]
    reshaped = [
        f"{k} {tuple(tensors[k].shape)} instead of {tuple(expected[k].shape)}"
        for k in expected
        if k in tensors and tensors[k].shape != expected[k].shape
    ]
    differences = [
        f"{label}: {', '.join(names[:_KEYS_SHOWN])}"
        + (f" and {len(names) - _KEYS_SHOWN} more" if len(names) > _KEYS_SHOWN else "")
        for label, names in (
            ("missing", missing),
            ("unexpected", unexpected),
            ("other shape", reshaped),
        )
        if names
    ]
    if differences:
        raise CheckpointError(
            f"checkpoint '{path}' does not fit {ARCHITECTURE} ({'; '.join(differences)}): use a "
            "checkpoint of this architecture, or export yours to ONNX and set engine: onnx"
        )
    model.load_state_dict(dict(tensors))
    model.eval()

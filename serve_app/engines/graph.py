"""The network as one ONNX file: what every engine but torch runs.

One graph serves every legal size and batch. All that depends on the size is how far the context
branch's view is shrunk, and that is worked out from the shape inside the graph (see `convert`).
OpenVINO, ONNX Runtime and TensorRT read the same file, and an int8 file serves all three.

The file says in its metadata what it was made from. It is made from the checkpoint when it is
first needed and kept in `model.cache_path` under the checkpoint's name and its file's sha256, the
precision and this package's version, so that what another version or another checkpoint left there
is never taken, though it had the same weights: the graph says whose it is.

The last thing in the file is the sha256 of all before it, as one more entry of its metadata.
"""

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from serve_app import __version__
from serve_app.engines.availability import need
from serve_app.engines.base import one_line
from serve_app.errors import CheckpointError, EngineError
from serve_app.files import replace_file
from serve_app.models.integrity import check_file

logger = logging.getLogger("ray.serve.cvunet")

FORMAT = "3"  # changes with what the file holds for the same weights
_PREFIX = "cvunet."
_SEAL = f"{_PREFIX}seal"


@dataclass(frozen=True, slots=True)
class Graph:
    """An ONNX file: rgb uint8 [n, h, w, 3], trimap uint8 [n, h, w] -> alpha uint8 [n, h, w]."""

    content: bytes
    name: str  # of the checkpoint
    version: str  # of the checkpoint
    sha256: str  # of the checkpoint
    precision: str  # fp32, fp16 or int8
    made_by: str  # version of this package
    format: str = FORMAT


def load_graph(path: Path, precision: str, cache_path: Path) -> Graph:
    """The graph of a checkpoint or of an ONNX file that `cvunet export` wrote.

    Args:
        path: `.safetensors` or `.pth`, or `.onnx`.
        precision: fp32 and fp16 are made from the checkpoint; int8 is read from the file that
            stands beside it, because making it needs photos. An `.onnx` has to be of it; `auto`
            takes that as it is.
        cache_path: folder for graphs made here.

    Raises:
        CheckpointError: the weights cannot be used.
        EngineError: the graph cannot be made, or is of other weights or another precision.
    """
    if path.suffix == ".onnx":
        graph = read_graph(path)
        if precision not in ("auto", graph.precision):
            raise EngineError(
                f"precision: {precision} was asked for and '{path}' is {graph.precision}: set "
                "precision: auto, or export it again"
            )
        return graph
    sha256 = _weights_sha256(path)
    if precision == "int8":
        return quantised_graph(path, sha256)
    precision = "fp32" if precision == "auto" else precision
    file = hashlib.sha256(path.read_bytes()).hexdigest()  # that of its weights says no version
    kept = cache_path / f"{path.stem}-{file[:16]}-{precision}-{__version__}-{FORMAT}.onnx"
    if (cached := _read_cached(kept, sha256)) is not None:
        return cached
    from serve_app.engines.convert import convert
    from serve_app.models.checkpoint import load_checkpoint

    model, info = load_checkpoint(path)
    logger.info("making the ONNX graph of %s: once for these weights, some seconds", info.name)
    graph = convert(model, info, precision)
    _keep(graph, kept)
    return graph


def quantised_path(checkpoint: Path) -> Path:
    """Where `precision: int8` looks for the quantised network of a checkpoint."""
    return checkpoint.with_name(f"{checkpoint.stem}.int8.onnx")


def read_graph(path: Path) -> Graph:
    """Read a file that `write_graph` wrote.

    Raises:
        CheckpointError: no such file.
        EngineError: not an ONNX file, not ours, of another format, or altered.
    """
    if not path.is_file():
        raise CheckpointError(f"model_path '{path}' is not a file: set model_path to one")
    content = path.read_bytes()
    metadata = read_metadata(content, path)
    if f"{_PREFIX}format" not in metadata:
        raise EngineError(
            f"'{path}' was not written by cvunet export: another author's network runs on engine: "
            "onnx, with its form under model.onnx"
        )
    if metadata[f"{_PREFIX}format"] != FORMAT:
        raise EngineError(
            f"'{path}' is of format {metadata[f'{_PREFIX}format']} and this is cvunet-serve "
            f"{__version__}, which reads {FORMAT}: export it again"
        )
    _check_seal(content, metadata.get(_SEAL), path)
    ours = {k: v for k, v in metadata.items() if k.startswith(_PREFIX) and k != _SEAL}
    return Graph(content, **{k.removeprefix(_PREFIX): v for k, v in ours.items()})


def is_external(path: Path) -> bool:
    """Whether a file is an ONNX network of another author.

    Raises:
        EngineError: the package onnx is missing, or the file is called `.onnx` and isn't.
    """
    if path.suffix != ".onnx" or not path.is_file():
        return False
    return f"{_PREFIX}format" not in read_metadata(path.read_bytes(), path)


def write_graph(graph: Graph, path: Path) -> None:
    """Write the file in one step: whoever reads meanwhile sees all of it or none."""
    replace_file(path, graph.content)


def stamped(content: bytes, **values: str) -> Graph:
    """A graph whose file says what it is."""
    import onnx

    model = onnx.load_model_from_string(content)
    values = {**values, "made_by": __version__, "format": FORMAT}
    onnx.helper.set_model_props(model, {f"{_PREFIX}{k}": v for k, v in values.items()})
    return Graph(sealed(model.SerializeToString()), **values)


def sealed(content: bytes) -> bytes:
    """An ONNX file with its own sha256 at its end."""
    # Two messages of protobuf behind each other are one, with the fields of both.
    return content + _seal(hashlib.sha256(content).hexdigest())


def _seal(sha256: str) -> bytes:
    import onnx

    model = onnx.ModelProto()
    model.metadata_props.add(key=_SEAL, value=sha256)
    return bytes(model.SerializeToString())


def _check_seal(content: bytes, sha256: str | None, path: Path) -> None:
    if sha256 is None:  # written before there were seals
        return
    before = content.removesuffix(_seal(sha256))
    found = hashlib.sha256(before).hexdigest()
    if found != sha256:
        raise EngineError(
            f"'{path}' has been altered: it has sha256 {found[:12]}... and says {sha256[:12]}...; "
            "copy it again from where it came, or export it again"
        )


def read_metadata(content: bytes, path: Path) -> Mapping[str, str]:
    """The metadata of an ONNX file.

    Raises:
        EngineError: it isn't one.
    """
    onnx = need("onnx", "onnx", f"'{path.name}'")
    try:
        model = onnx.load_model_from_string(content)
    except Exception as exc:  # protobuf's own error classes differ between its versions
        raise EngineError(f"'{path}' is not an ONNX file: copy it again ({one_line(exc)})") from exc
    return {prop.key: prop.value for prop in model.metadata_props}


def _weights_sha256(path: Path) -> str:
    if (sha256 := check_file(path)) is not None:
        return sha256
    # Torch alone reads a pickle; it takes seconds and memory to import.
    from serve_app.models.checkpoint import load_checkpoint

    return load_checkpoint(path)[1].sha256


def quantised_graph(checkpoint: Path, sha256: str) -> Graph:
    """The int8 file beside a checkpoint whose weights have this sum.

    Raises:
        EngineError: it is missing, not ours, of another format or of other weights.
    """
    path = quantised_path(checkpoint)
    command = f"cvunet export --engine openvino --precision int8 --calibrate PHOTOS {path}"
    if not path.is_file():
        raise EngineError(f"precision: int8 needs '{path}', which is not there: run {command}")
    graph = read_graph(path)
    if graph.sha256 != sha256:
        raise EngineError(
            f"'{path}' was made from other weights ({graph.sha256[:12]}..., the checkpoint is "
            f"{sha256[:12]}...): run {command}, or set precision: fp32"
        )
    return graph


def _read_cached(path: Path, sha256: str) -> Graph | None:
    if not path.is_file():
        return None
    try:
        graph = read_graph(path)
    except EngineError as exc:
        logger.warning("a cached graph is ignored and made again: %s", exc.detail)
        return None
    if (graph.sha256, graph.made_by) != (sha256, __version__):
        logger.warning("cached graph '%s' is of something else: it is made again", path)
        return None
    return graph


def _keep(graph: Graph, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_graph(graph, path)
    except OSError as exc:
        logger.warning(
            "model.cache_path '%s' cannot be written (%s): the graph is made at every start",
            path.parent,
            exc.strerror,
        )

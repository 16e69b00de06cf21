"""TensorRT on an NVIDIA GPU: one engine per bucket, built when it first comes and kept.

Building takes minutes and the result runs only on the same kind of GPU with the same TensorRT, so
the file's name says all of it. torch holds the memory on the GPU.
"""

import logging
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from serve_app.engines.availability import need
from serve_app.engines.base import EngineInfo, out_of_memory
from serve_app.engines.graph import FORMAT, Graph
from serve_app.engines.rules import check_rules
from serve_app.errors import EngineError
from serve_app.files import replace_file
from serve_app.types import Array, Size

logger = logging.getLogger("ray.serve.cvunet")

_MAX_BATCH = 16  # images in one run; a larger batch is run in parts


@dataclass(frozen=True, slots=True)
class Plan:
    """What one built engine is for; two that differ in anything have different files."""

    gpu: str
    tensorrt: str  # version
    sha256: str  # of the checkpoint
    precision: str
    size: Size
    max_batch: int = _MAX_BATCH

    def path(self, folder: Path) -> Path:
        height, width = self.size
        gpu = re.sub(r"[^A-Za-z0-9]+", "_", self.gpu)
        return folder / (
            f"{self.sha256[:16]}-{self.precision}-{height}x{width}-{self.max_batch}-{gpu}-"
            f"{self.tensorrt}-{FORMAT}.plan"
        )

    def shapes(self, batch: int) -> dict[str, tuple[int, ...]]:
        """The inputs' shapes at a batch size."""
        return {"rgb": (batch, *self.size, 3), "trimap": (batch, *self.size)}

    def command(self, folder: Path) -> str:
        """The `trtexec` line that builds the same engine from the ONNX file beside it."""
        path = self.path(folder)
        shapes = [
            f"--{kind}Shapes=" + ",".join(f"{k}:{'x'.join(map(str, v))}" for k, v in each.items())
            for kind, each in self._profile().items()
        ]
        words = ["trtexec", f"--onnx={path.with_suffix('.onnx')}", "--stronglyTyped", *shapes]
        return shlex.join([*words, f"--saveEngine={path}"])

    def _profile(self) -> dict[str, dict[str, tuple[int, ...]]]:
        return {
            "min": self.shapes(1),
            "opt": self.shapes(max(1, self.max_batch // 2)),
            "max": self.shapes(self.max_batch),
        }


class TensorRtEngine:
    """Runs the graph of our network in fp16 or fp32."""

    def __init__(self, graph: Graph, device: str, cache_path: Path, reason: str = "set") -> None:
        """Make ready to build; nothing is built before the first batch of a bucket.

        Raises:
            EngineError: TensorRT or the GPU is missing, or the precision is not for it.
        """
        self._trt = need("tensorrt", "tensorrt")
        check_rules("tensorrt", device, graph.precision)
        from serve_app.engines.torch import find_device

        self._device = find_device("cuda" if device == "auto" else device)
        self._torch = need("torch", "torch")
        self._graph = graph
        self._cache_path = cache_path
        self._contexts: dict[Size, Any] = {}
        self.batches: tuple[int, ...] = (1,)
        self.info = EngineInfo(
            graph.name,
            graph.version,
            graph.sha256,
            engine="tensorrt",
            device=str(self._device),
            precision=graph.precision,
            reason=reason,
        )

    def predict(self, rgb: Array, trimap: Array) -> Array:
        try:
            context = self._context((rgb.shape[1], rgb.shape[2]))
            parts = [slice(i, i + _MAX_BATCH) for i in range(0, len(rgb), _MAX_BATCH)]
            return np.concatenate([self._run(context, rgb[p], trimap[p]) for p in parts])
        except RuntimeError as exc:
            if error := out_of_memory(exc, rgb, str(self._device)):
                raise error from exc
            raise

    def _run(self, context: Any, rgb: Array, trimap: Array) -> Array:
        torch = self._torch
        with torch.cuda.device(self._device):
            tensors = {
                name: torch.from_numpy(np.require(array, requirements=["C", "W"])).to(self._device)
                for name, array in (("rgb", rgb), ("trimap", trimap))
            }
            for name, tensor in tensors.items():
                context.set_input_shape(name, tuple(tensor.shape))
            tensors["alpha"] = torch.empty_like(tensors["trimap"])
            for name, tensor in tensors.items():
                context.set_tensor_address(name, tensor.data_ptr())
            stream = torch.cuda.current_stream()
            if not context.execute_async_v3(stream.cuda_stream):
                raise RuntimeError("TensorRT did not run the batch")
            alpha: Array = tensors["alpha"].cpu().numpy()
        return alpha

    def _context(self, size: Size) -> Any:
        if size not in self._contexts:
            gpu = self._torch.cuda.get_device_name(self._device)
            graph = self._graph
            plan = Plan(gpu, self._trt.__version__, graph.sha256, graph.precision, size)
            path = plan.path(self._cache_path)
            if not path.is_file():
                build(self._trt, graph, plan, self._cache_path)
            runtime = self._trt.Runtime(self._trt.Logger(self._trt.Logger.WARNING))
            engine = runtime.deserialize_cuda_engine(path.read_bytes())
            if engine is None:
                raise EngineError(f"TensorRT cannot load '{path}': delete it, it is built again")
            self._contexts[size] = engine.create_execution_context()
        return self._contexts[size]


def build(trt: ModuleType, graph: Graph, plan: Plan, folder: Path) -> None:
    """Build the engine of a bucket and keep it with its ONNX file.

    Raises:
        EngineError: TensorRT does not take the graph.
    """
    path = plan.path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    content = at_size(graph.content, plan.size)
    path.with_suffix(".onnx").write_bytes(content)
    logger.info("building a TensorRT engine, some minutes; the same: %s", plan.command(folder))
    log = trt.Logger(trt.Logger.WARNING)
    builder = trt.Builder(log)
    # Strongly typed: the graph's own types are the precision, no layer is guessed at.
    flags = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(flags)
    parser = trt.OnnxParser(network, log)
    if not parser.parse(content):
        errors = "; ".join(str(parser.get_error(i)) for i in range(parser.num_errors))
        raise EngineError(f"TensorRT {plan.tensorrt} cannot read the graph: {errors}")
    config = builder.create_builder_config()
    profile = builder.create_optimization_profile()
    for name, largest in plan.shapes(plan.max_batch).items():
        usual = plan.shapes(max(1, plan.max_batch // 2))[name]
        profile.set_shape(name, plan.shapes(1)[name], usual, largest)
    config.add_optimization_profile(profile)
    built = builder.build_serialized_network(network, config)
    if built is None:
        raise EngineError(f"TensorRT {plan.tensorrt} cannot build the graph: see its log above")
    replace_file(path, built)  # another replica may build the same


# In the graph, what leads from the size to how far the view is shrunk.
_WORKED_OUT = {
    *("longest", "is_over", "over", "added", "growth", "factor"),
    *("at_most", "wanted", "wanted_twice", "half_stride", "rounded_up", "two_strides"),
    *("strides", "some_strides", "view"),
    *("is_one", "by_one", "is_two", "by_two", "is_more", "by_more", "half_factor", "factor_left"),
}


def at_size(content: bytes, size: Size) -> bytes:
    """The graph for one height and width, with how far the view is shrunk worked out.

    What is left open is the batch: TensorRT folds every other shape away.
    """
    onnx = need("onnx", "tensorrt")
    from serve_app.models.unet import view_size

    model = onnx.load_model_from_string(content)
    nodes, values = model.graph.node, model.graph.initializer
    known = {v.name: onnx.numpy_helper.to_array(v) for v in values}
    factor = 1 + int(known["steps"][max(size) > known["limits"]].sum())
    view = view_size(size, int(known["side"][0]))
    way = {1: "by_one", 2: "by_two"}.get(factor, "by_more")
    found = {"factor": [factor], "view": view, way: [1], "factor_left": [max(1, factor // 2)]}
    for name, value in found.items():
        values.append(onnx.numpy_helper.from_array(np.array(value, np.int64), name))
    (taken,) = (node for node in nodes if node.output[0] == "taken")
    taken.input[:] = [f"means_{way}"]
    for node in [node for node in nodes if node.output[0] in _WORKED_OUT]:
        nodes.remove(node)
    _remove_unused(model.graph)
    for value in [*model.graph.input, *model.graph.output]:
        for axis, side in enumerate(size, start=1):
            value.type.tensor_type.shape.dim[axis].dim_value = side
    content_at_size: bytes = model.SerializeToString()
    return content_at_size


def _remove_unused(graph: Any) -> None:
    """Remove what leads nowhere: the ways to the view's means that are not this size's."""
    wanted = {output.name for output in graph.output}
    for node in reversed(list(graph.node)):  # they stand in order
        if wanted.isdisjoint(node.output):
            graph.node.remove(node)
        else:
            wanted.update(node.input)

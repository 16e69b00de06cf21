"""OpenVINO on a CPU: the fastest engine there, the more so in int8."""

import os
from collections import OrderedDict
from typing import Any

import numpy as np

from serve_app.engines.availability import need
from serve_app.engines.base import EngineInfo, out_of_memory
from serve_app.engines.graph import Graph
from serve_app.errors import EngineError
from serve_app.types import Array, Size

_KEPT = 16  # compiled sizes: about 60 MB each at 1024 px, and over a second to compile again


class OpenVinoEngine:
    """Compiles the graph for each bucket when it first comes, and runs images one by one.

    A graph compiled for one size is faster than one for all sizes, and a batch gains nothing on a
    CPU: the sizes alone make few graphs, sizes times batches many.
    """

    def __init__(
        self, graph: Graph, device: str = "auto", threads: int = 0, reason: str = "set"
    ) -> None:
        """Read a graph.

        Raises:
            EngineError: OpenVINO is missing, or the device or the precision is not for it.
        """
        openvino = need("openvino", "openvino")
        if device not in ("auto", "cpu"):
            raise EngineError(
                f"device: {device} is not for engine: openvino, which runs on the CPU: set device: "
                "cpu, or engine: auto"
            )
        if graph.precision == "fp16":
            raise EngineError(
                "precision: fp16 needs a GPU (half precision is slower than fp32 on a CPU): set "
                "precision: fp32 or int8"
            )
        self._core = openvino.Core()
        self._model = self._core.read_model(graph.content)
        self._options = {
            "INFERENCE_NUM_THREADS": threads or len(os.sched_getaffinity(0)),
            "PERFORMANCE_HINT": "LATENCY",
            # Where the CPU has bfloat16 units the default would use them, 8 bits of mantissa.
            "INFERENCE_PRECISION_HINT": "f32",
        }
        self._compiled: OrderedDict[Size, Any] = OrderedDict()
        self.info = EngineInfo(
            graph.name,
            graph.version,
            graph.sha256,
            engine="openvino",
            device="cpu",
            precision=graph.precision,
            reason=reason,
        )

    def predict(self, rgb: Array, trimap: Array) -> Array:
        try:
            request = self._request((rgb.shape[1], rgb.shape[2]))
            alphas = [
                request.infer({"rgb": rgb[i : i + 1], "trimap": trimap[i : i + 1]})["alpha"].copy()
                for i in range(len(rgb))
            ]
        except (RuntimeError, MemoryError) as exc:
            if error := out_of_memory(exc, rgb, "cpu"):
                raise error from exc
            raise
        return np.concatenate(alphas)

    def _request(self, size: Size) -> Any:
        """What runs one image of `size`: compiled before, or now in place of the least used."""
        if size not in self._compiled:
            model = self._model.clone()
            model.reshape({"rgb": [1, *size, 3], "trimap": [1, *size]})
            compiled = self._core.compile_model(model, "CPU", self._options)
            self._compiled[size] = compiled.create_infer_request()
            if len(self._compiled) > _KEPT:
                self._compiled.popitem(last=False)
        self._compiled.move_to_end(size)
        return self._compiled[size]

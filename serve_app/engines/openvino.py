"""OpenVINO on a CPU: the fastest engine there, the more so in int8."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from serve_app.engines.availability import need
from serve_app.engines.base import EngineInfo, one_line, out_of_memory
from serve_app.engines.compiled import compiled_for_all_sizes, kept_path
from serve_app.engines.graph import Graph
from serve_app.engines.rules import check_rules
from serve_app.errors import EngineError
from serve_app.types import Array

_MOST_STREAMS = 4  # each holds the activations of one image, about 40 MB at 1024x576
_LARGE = 2_500_000  # px; above, activations take hundreds of MB


class OpenVinoEngine:
    """Compiles the graph once for all sizes; an image alone has all cores, those of a batch share.

    Compiled for one size it takes a tenth less, but each new size would cost a second, and in int8
    it rounds elsewhere: up to 24 levels of 255 apart, so that an image's matte would depend on
    whether its size is known and on its batch. A batch in one run gains nothing on a CPU, but
    images side by side with fewer cores each do: cores that work on one image wait for each other
    after each layer.
    """

    def __init__(
        self,
        graph: Graph,
        device: str = "auto",
        threads: int = 0,
        reason: str = "set",
        cache_path: Path | None = None,
    ) -> None:
        """Read a graph; `cache_path` is where it is kept compiled, and None keeps nothing.

        Raises:
            EngineError: OpenVINO is missing, or the device or the precision is not for it.
        """
        openvino = need("openvino", "openvino")
        check_rules("openvino", device, graph.precision)
        threads = threads or len(os.sched_getaffinity(0))
        options = {
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
            # It pins threads to the first cores, in every process to the same ones: of two workers
            # with a thread each both would run on core 0.
            "ENABLE_CPU_PINNING": False,
            # Where the CPU has bfloat16 units the default would use them, 8 bits of mantissa.
            "INFERENCE_PRECISION_HINT": "f32",
        }
        core = openvino.Core()
        version = openvino.get_version()
        kept = cache_path and kept_path(cache_path, graph.content, version, options)
        streams = min(threads, _MOST_STREAMS)
        try:
            compiled = compiled_for_all_sizes(core, graph.content, options, kept)
            self._alone = core.import_model(compiled, "CPU", options)
            self._shared = core.import_model(compiled, "CPU", {**options, "NUM_STREAMS": streams})
        except RuntimeError as exc:
            raise EngineError(
                f"engine: openvino ({version}) cannot run the {graph.precision} graph of "
                f"'{graph.name}': export it again, and empty model.cache_path ({one_line(exc)})"
            ) from exc
        self._for_one = [self._alone.create_infer_request()]
        self._for_many = [self._shared.create_infer_request() for _ in range(streams)]
        self.batches: tuple[int, ...] = (1,)
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
        large = rgb.shape[1] * rgb.shape[2] > _LARGE
        try:
            return _run(self._for_one if large or len(rgb) == 1 else self._for_many, rgb, trimap)
        except (RuntimeError, MemoryError) as exc:
            if error := out_of_memory(exc, rgb, "cpu"):
                raise error from exc
            raise
        finally:
            if large:  # it would keep what its largest image took
                self._alone.release_memory()


def _run(requests: Sequence[Any], rgb: Array, trimap: Array) -> Array:
    """Run images one by one on each of the requests, which work side by side."""
    alphas = np.empty(trimap.shape, np.uint8)
    try:
        for i in range(len(rgb) + len(requests)):
            request, done = requests[i % len(requests)], i - len(requests)
            if done >= 0:
                request.wait()
                alphas[done] = request.get_tensor("alpha").data[0]
            if i < len(rgb):
                request.start_async({"rgb": rgb[i : i + 1], "trimap": trimap[i : i + 1]})
    except BaseException:
        _settle(requests)
        raise
    return alphas


def _settle(requests: Sequence[Any]) -> None:
    """Wait until none is at work: one that is would refuse the next image."""
    for request in requests:
        try:
            request.wait()
        except RuntimeError:  # the failure that is being raised, or another like it
            continue

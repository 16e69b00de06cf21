"""From the checkpoint's network to one ONNX graph for all sizes.

The context branch sees the image shrunk as follows from its size (`shrink_to` of the network).
Torch works that out in Python: a plain export would freeze it and be wrong for other sizes. Here
the network is exported from the two images, full and shrunk, to the alpha; a few ONNX operators
before it, which read the shape, make both from the bytes.
"""

import logging
import warnings

import torch
from torch import Tensor, nn

from serve_app.engines.availability import need
from serve_app.engines.graph import Graph, stamped
from serve_app.models.checkpoint import CheckpointInfo
from serve_app.models.unet import STRIDE, UNetMatting

OPSET = 18
_LARGEST = 16_384  # px per side; limits.max_edge

# Bytes are cast first: TensorRT takes them at its inputs and outputs and nowhere else.
# Blocks of factor x factor pixels are averaged, where the factor is the largest power of two that
# leaves the longest side at `context_side` or more: 1 + 1 + 2 + 4 ... for each limit that it is
# over. The rest of the way to the size of the view, if there is any, is bilinear.
_FRONT = """
<ir_version: 10, opset_import: ["" : {opset}]>
front (uint8[n, height, width, 3] rgb, uint8[n, height, width] trimap)
  => (float[n, 4, height, width] full, float[n, 4, view_height, view_width] shrunk)
<int64[{count}] limits = {{{limits}}}, int64[{count}] steps = {{{steps}}},
 int64[1] side = {{{side}}}, int64[1] stride = {{{stride}}},
 int64[1] zero = {{0}}, int64[1] one = {{1}}, int64[1] two = {{2}}, int64[1] rest = {{-1}},
 int64[1] channels = {{4}}>
{{
  color = Cast <to = 1> (rgb)
  known = Cast <to = 1> (trimap)
  color_planes = Transpose <perm = [0, 3, 1, 2]> (color)
  known_plane = Unsqueeze (known, one)
  full = Concat <axis = 1> (color_planes, known_plane)
  images = Shape <start = 0, end = 1> (full)
  size = Shape <start = 2, end = 4> (full)
  longest = ReduceMax <keepdims = 1> (size)
  is_over = Greater (longest, limits)
  over = Cast <to = 7> (is_over)
  added = Mul (over, steps)
  growth = ReduceSum <keepdims = 1> (added)
  factor = Add (growth, one)
  pooled = Div (size, factor)
  pooled_rows = Slice (pooled, zero, one)
  pooled_columns = Slice (pooled, one, two)
  all_planes = Mul (images, channels)
  rows = Mul (all_planes, pooled_rows)
  row_shape = Concat <axis = 0> (rows, factor, rest)
  row_blocks = Reshape (full, row_shape)
  row_means = ReduceMean <keepdims = 0> (row_blocks, one)
  column_shape = Concat <axis = 0> (rows, pooled_columns, factor)
  column_blocks = Reshape (row_means, column_shape)
  column_means = ReduceMean <keepdims = 0> (column_blocks, two)
  pooled_shape = Concat <axis = 0> (images, channels, pooled)
  means = Reshape (column_means, pooled_shape)
  at_most = Min (longest, side)
  wanted = Mul (size, at_most)
  wanted_twice = Mul (wanted, two)
  half_stride = Mul (stride, longest)
  rounded_up = Add (wanted_twice, half_stride)
  two_strides = Mul (half_stride, two)
  strides = Div (rounded_up, two_strides)
  some_strides = Max (strides, one)
  view = Mul (some_strides, stride)
  view_shape = Concat <axis = 0> (images, channels, view)
  shrunk = Resize <mode = "linear", coordinate_transformation_mode = "half_pixel">
    (means, , , view_shape)
}}
"""


class _FromImages(nn.Module):
    """The network from images that are already made, full and shrunk, range 0-255."""

    def __init__(self, network: UNetMatting) -> None:
        super().__init__()
        self.network = network

    def forward(self, full: Tensor, shrunk: Tensor) -> Tensor:
        """float32 [N, 4, H, W] and [N, 4, h, w] -> uint8 [N, H, W]."""
        image, view = (
            self.network.normalise(x.to(self.network.mean.dtype)) for x in (full, shrunk)
        )
        return self.network.alpha(image, view).to(torch.uint8)


def convert(model: UNetMatting, info: CheckpointInfo, precision: str) -> Graph:
    """Make the graph of a network on the CPU; `precision` is fp32 or fp16.

    Raises:
        EngineError: a package that it takes is missing.
    """
    onnx, _, parser, compose = (
        need(module, "onnx", "the network's ONNX graph")
        for module in ("onnx", "onnxscript", "onnx.parser", "onnx.compose")
    )
    side = model.config.context_side
    network = _FromImages(model.half() if precision == "fp16" else model).eval()
    body = _export(network, side)
    front = parser.parse_model(_front(side))
    merged = compose.merge_models(front, body, io_map=[("full", "image"), ("shrunk", "view")])
    alpha = onnx.helper.make_tensor_value_info(
        "alpha", onnx.TensorProto.UINT8, ["n", "height", "width"]
    )
    merged.graph.output[0].CopyFrom(alpha)
    onnx.checker.check_model(merged)
    return stamped(
        merged.SerializeToString(),
        name=info.name,
        version=info.version,
        sha256=info.sha256,
        precision=precision,
    )


def _front(side: int) -> str:
    steps = [1]
    while side * steps[-1] * 4 < _LARGEST and steps[-1] * 2 < STRIDE:
        steps.append(steps[-1] * 2)
    return _FRONT.format(
        opset=OPSET,
        count=len(steps),
        limits=", ".join(str(2 * side * step - 1) for step in steps),
        steps=", ".join(map(str, steps)),
        side=side,
        stride=STRIDE,
    )


def _export(network: nn.Module, side: int) -> object:
    """Export with batch, height and width left open; the shrunk image has a size of its own."""
    dim = torch.export.Dim
    batch = dim("batch", min=1, max=1024)
    rows, columns = (dim(name, min=1, max=_LARGEST // STRIDE) for name in ("rows", "columns"))
    view_rows, view_columns = (dim(name, min=2, max=side) for name in ("view_rows", "view_columns"))
    examples = torch.zeros(2, 4, 12 * STRIDE, 16 * STRIDE), torch.zeros(2, 4, side // 2, side)
    # The exporter speaks of its own progress and of its libraries' deprecations.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.inference_mode(False):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            network,
            examples,
            dynamo=True,
            verbose=False,
            external_data=False,
            opset_version=OPSET,
            input_names=["image", "view"],
            output_names=["alpha"],
            dynamic_shapes=(
                {0: batch, 2: STRIDE * rows, 3: STRIDE * columns},
                {0: batch, 2: view_rows, 3: view_columns},
            ),
        )
    if program is None:
        raise RuntimeError("torch.onnx.export gave no program")
    return program.model_proto

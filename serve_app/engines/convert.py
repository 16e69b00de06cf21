"""From the checkpoint's network to one ONNX graph for all sizes.

The context branch sees the image shrunk as follows from its size (`shrink_to` of the network).
Torch works that out in Python: a plain export would freeze it and be wrong for other sizes. Here
the network is exported from blocks of the full image and from the shrunk one to the alpha; a few
ONNX operators before it, which read the shape, make both from the bytes.
"""

import copy
import logging
import warnings
from typing import cast

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
#
# The detail branch's blocks of 2 x 2 pixels are channels, a block's pixel by pixel. Their means are
# those of factor 2, and what larger factors start from: reading the whole image once more would
# cost 5 % of all that the network does. There is no branching: of three ways to the means, two get
# no image of the batch, and what has no elements costs nothing.
_FRONT = """
<ir_version: 10, opset_import: ["" : {opset}]>
front (uint8[n, height, width, 3] rgb, uint8[n, height, width] trimap)
  => (float[n, 16, block_rows, block_columns] blocks, float[n, 4, view_height, view_width] shrunk)
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
  blocks = SpaceToDepth <blocksize = 2> (full)
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
  plane_rows = Mul (channels, pooled_rows)
  pixels = Mul (plane_rows, pooled_columns)

  is_one = Equal (factor, one)
  by_one = Cast <to = 7> (is_one)
  images_by_one = Mul (images, by_one)
  pixels_by_one = Mul (images_by_one, pixels)
  taken_by_one = Slice (full, zero, images_by_one, zero)
  means_by_one = Reshape (taken_by_one, pixels_by_one)

  block_shape = Concat <axis = 0> (images, channels, rest)
  block_pixels = Reshape (blocks, block_shape)
  block_means = ReduceMean <keepdims = 0> (block_pixels, one)
  is_two = Equal (factor, two)
  by_two = Cast <to = 7> (is_two)
  images_by_two = Mul (images, by_two)
  pixels_by_two = Mul (images_by_two, pixels)
  taken_by_two = Slice (block_means, zero, images_by_two, zero)
  means_by_two = Reshape (taken_by_two, pixels_by_two)

  is_more = Greater (factor, two)
  by_more = Cast <to = 7> (is_more)
  images_by_more = Mul (images, by_more)
  pixels_by_more = Mul (images_by_more, pixels)
  taken_by_more = Slice (block_means, zero, images_by_more, zero)
  half_factor = Div (factor, two)
  factor_left = Max (half_factor, one)
  half_size = Div (size, two)
  half_columns = Slice (half_size, one, two)
  rows_by_more = Mul (images_by_more, plane_rows)
  row_shape = Concat <axis = 0> (rows_by_more, factor_left, half_columns)
  row_blocks = Reshape (taken_by_more, row_shape)
  row_means = ReduceMean <keepdims = 0> (row_blocks, one)
  column_shape = Concat <axis = 0> (rows_by_more, pooled_columns, factor_left)
  column_blocks = Reshape (row_means, column_shape)
  column_means = ReduceMean <keepdims = 0> (column_blocks, two)
  means_by_more = Reshape (column_means, pixels_by_more)

  taken = Concat <axis = 0> (means_by_one, means_by_two, means_by_more)
  pooled_shape = Concat <axis = 0> (images, channels, pooled)
  means = Reshape (taken, pooled_shape)

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


class _FromBlocks(nn.Module):
    """The network from blocks and view that are already made, range 0-255.

    ONNX lays a block out pixel by pixel, torch channel by channel: the stem's weights are moved,
    not the blocks.
    """

    def __init__(self, network: UNetMatting) -> None:
        super().__init__()
        self.network = copy.deepcopy(network)
        stem = cast(nn.Conv2d, self.network.detail.stem[0])
        after, before, *sides = stem.weight.shape
        by_channel = stem.weight.data.reshape(after, 4, before // 4, *sides)
        stem.weight.data = by_channel.transpose(1, 2).reshape(after, before, *sides)

    def forward(self, blocks: Tensor, shrunk: Tensor) -> Tensor:
        """float32 [N, 16, H/2, W/2] and [N, 4, h, w] -> uint8 [N, H, W]."""
        mean, std = self.network.mean, self.network.std
        normalised = (blocks.to(mean.dtype) - mean.repeat(1, 4, 1, 1)) / std[:, :1]
        view = self.network.normalise(shrunk.to(mean.dtype))
        return self.network.alpha(normalised, view).to(torch.uint8)


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
    network = _FromBlocks(model.half() if precision == "fp16" else model).eval()
    body = _export(network, side)
    front = parser.parse_model(_front(side))
    merged = compose.merge_models(front, body, io_map=[("blocks", "blocks_in"), ("shrunk", "view")])
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
    """Export with batch, height and width left open; the view has a size of its own."""
    dim = torch.export.Dim
    batch = dim("batch", min=1, max=1024)
    rows, columns = (dim(name, min=1, max=_LARGEST // STRIDE) for name in ("rows", "columns"))
    view_rows, view_columns = (dim(name, min=2, max=side) for name in ("view_rows", "view_columns"))
    half = STRIDE // 2
    examples = torch.zeros(2, 16, 12 * half, 16 * half), torch.zeros(2, 4, side // 2, side)
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
            input_names=["blocks_in", "view"],
            output_names=["alpha"],
            dynamic_shapes=(
                {0: batch, 2: half * rows, 3: half * columns},
                {0: batch, 2: view_rows, 3: view_columns},
            ),
        )
    if program is None:
        raise RuntimeError("torch.onnx.export gave no program")
    return program.model_proto

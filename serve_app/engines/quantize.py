"""An int8 graph from an fp32 one, by NNCF's post-training quantisation.

Only convolutions are quantised: they are the work, and 8 bits for the sums and the logits between
them would show as steps in the matte. The detail branch takes it without a trace; the context
branch decides what the subject is from small differences and may not, so that it is tried in
steps: everything first, then without that branch's decoder, then without that branch.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from serve_app.engines.availability import need
from serve_app.engines.graph import Graph, stamped
from serve_app.types import Array

_CONTEXT = "network.context."
_DECODER = ("scene", "laterals", "merges", "features", "head")

STEPS = ("every convolution", "all but the context's decoder", "the detail branch alone")


def quantise(graph: Graph, images: Sequence[Mapping[str, Array]]) -> Iterator[tuple[str, Graph]]:
    """Quantise the graph, boldest first.

    Args:
        graph: fp32.
        images: inputs of the graph by name, batches of one, as it will see them.

    Yields:
        What is in int8, and the graph.

    Raises:
        EngineError: NNCF is missing.
    """
    onnx = need("onnx", "quantize", "precision: int8")
    nncf = need("nncf", "quantize", "precision: int8")
    nncf.set_log_level(40)  # errors
    model = onnx.load_model_from_string(graph.content)
    convolutions = {n.name: n.input[1] for n in model.graph.node if n.op_type == "Conv"}
    others = {node.op_type for node in model.graph.node} - {"Conv"}
    for step in STEPS:
        quantised = nncf.quantize(
            model,
            nncf.Dataset(images),
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(images),
            # Biases made up for layer by layer, each seeing what those before it do in 8 bits, and
            # not all at once: half the error for a few seconds more.
            fast_bias_correction=False,
            ignored_scope=nncf.IgnoredScope(
                names=_left_out(convolutions, step), types=sorted(others), validate=False
            ),
        )
        yield step, _stamped_int8(graph, quantised)


def _left_out(convolutions: Mapping[str, str], step: str) -> list[str]:
    """Names of the convolutions that stay in fp32; `convolutions` gives each one's weight."""
    if step == STEPS[0]:
        return []
    parts = {name: _context_part(weight) for name, weight in convolutions.items()}
    if step == STEPS[2]:
        return sorted(name for name, part in parts.items() if part)
    return sorted(name for name, part in parts.items() if part in _DECODER)


def _context_part(weight: str) -> str:
    """The part of the context branch that a weight belongs to; empty for another's."""
    return weight.partition(_CONTEXT)[2].split(".")[0]


def _stamped_int8(graph: Graph, model: Any) -> Graph:
    return stamped(
        model.SerializeToString(),
        name=graph.name,
        version=graph.version,
        sha256=graph.sha256,
        precision="int8",
    )

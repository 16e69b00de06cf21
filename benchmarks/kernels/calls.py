"""The network's layers, each with what it is called with on one batch."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Any, cast

from torch import Tensor, nn

from benchmarks.kernels.references import FUNCTIONS, REFERENCES
from serve_app.engines import fused
from serve_app.engines.kernels.tiles import Tile
from serve_app.engines.kernels.weights import Inverted, inverted
from serve_app.models.efficientnet_lite import InvertedResidual
from serve_app.models.unet import UNetMatting

_MOST_CHANNELS = 40  # of a block that is tried in one kernel and in three


@dataclass(frozen=True)
class Call:
    """A layer and what it was called with."""

    name: str
    layer: Any
    arguments: tuple[Any, ...]
    options: dict[str, Any]

    def run(self, tile: Tile | None = None) -> Any:
        layer = self.layer if tile is None else replace(self.layer, tile=tile)
        return layer(*self.arguments, **self.options)


def calls_of(network: UNetMatting, rgb: Tensor, trimap: Tensor) -> list[Call]:
    """Every layer with its arguments, as PyTorch's operations give them; each block also with the
    other way to run it.
    """
    own = fused.FusedNetwork(network)
    names = dict(layers_of(own))
    calls: list[Call] = []
    kept = {kind: kind.__call__ for kind in REFERENCES}
    functions = {name: getattr(fused, name) for name in FUNCTIONS}

    def noted(layer: Any, *arguments: Any, **options: Any) -> Any:
        calls.append(Call(names[id(layer)], layer, arguments, options))
        return REFERENCES[type(layer)](layer, *arguments, **options)

    def noted_function(name: str) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            calls.append(Call(name, functions[name], arguments, {}))
            return FUNCTIONS[name](*arguments)

        return call

    try:
        for kind in kept:
            kind.__call__ = noted  # type: ignore[method-assign]
        for name in functions:
            setattr(fused, name, noted_function(name))
        own(rgb, trimap)
        calls += other_ways(network, own, calls, names)
    finally:
        for kind, call in kept.items():
            kind.__call__ = call  # type: ignore[method-assign]
        for name, function in functions.items():
            setattr(fused, name, function)
    return calls


def other_ways(
    network: UNetMatting, own: fused.FusedNetwork, calls: list[Call], names: dict[int, str]
) -> list[Call]:
    """Blocks in one kernel that are three, and in three that are one."""
    inputs = {call.name: call.arguments[0] for call in calls}
    kept = len(calls)
    others: list[Inverted] = []
    for i, (block, plain) in enumerate(
        zip(own.context.blocks, network.context.encoder.blocks, strict=True)
    ):
        block_of = cast(InvertedResidual, plain)
        in_one = block.depthwise is None
        if isinstance(block_of.expand, nn.Identity):
            continue
        x = inputs[f"blocks.{i}.{'project' if in_one else 'expand'}"]
        if x.shape[3] > _MOST_CHANNELS:
            continue
        scale = max(2, network.config.context_side // max(x.shape[1:3]))
        other = inverted(block_of, scale, not in_one)
        for name in ("expand", "depthwise", "project"):
            at_once = 1 if in_one else 3
            names[id(getattr(other, name))] = f"blocks.{i}.{name} ({at_once} at once)"
        others.append(other)  # else another layer may get its id
        other(x)
    found = [call for call in calls[kept:] if ".expand" not in call.name]
    del calls[kept:]
    return found


def layers_of(own: fused.FusedNetwork) -> Iterator[tuple[int, str]]:
    for branch in (own.context, own.detail):
        for name, part in vars(branch).items():
            for i, one in enumerate(part if isinstance(part, list) else [part]):
                here = f"{name}.{i}" if isinstance(part, list) else name
                here = f"detail.{here}" if branch is own.detail else here
                yield id(one), here
                if isinstance(one, Inverted):
                    for field in ("expand", "depthwise", "project"):
                        yield id(getattr(one, field)), f"{here}.{field}"


def expected_of(call: Call) -> Any:
    """What PyTorch's operations give."""
    if is_layer(call):
        return REFERENCES[type(call.layer)](call.layer, *call.arguments, **call.options)
    return FUNCTIONS[call.name](*call.arguments)


def is_layer(call: Call) -> bool:
    return type(call.layer) in REFERENCES


def distinct(calls: list[Call]) -> list[Call]:
    """One of those that do the same at the same size."""
    return list({describe(call).split(" ", 1)[1]: call for call in calls[::-1]}.values())[::-1]


def describe(call: Call) -> str:
    """Its name, then all that makes two layers the same to a clock."""
    layer, x = call.layer, call.arguments[0]
    words = [call.name.replace(" ", "_"), type(layer).__name__, f"{tuple(x.shape)}"]
    if "at once" in call.name:
        words.append("other way")
    if hasattr(layer, "weight"):
        words.append(f"w{tuple(layer.weight.shape)}")
    if hasattr(layer, "stride"):
        words.append(f"k{getattr(layer, 'kernel', 3)} s{layer.stride}")
    if len(call.arguments) > 1 and call.arguments[1] is not None:
        words.append("+1")
    words += [key for key, value in call.options.items() if value is not None]
    return " ".join(words)


def bytes_of(call: Call) -> int:
    own = [getattr(call.layer, f.name) for f in fields(call.layer)] if is_layer(call) else []
    given = call.run()
    every = [*tensors(own), *tensors(call.arguments), *tensors(list(call.options.values()))]
    return sum(t.numel() * t.element_size() for t in every + unique(tensors(given)))


def tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, list | tuple):
        return [tensor for part in value for tensor in tensors(part)]
    return []


def unique(values: list[Tensor]) -> list[Tensor]:
    return list({tensor.data_ptr(): tensor for tensor in values}.values())

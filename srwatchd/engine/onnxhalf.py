"""An ONNX network in f16: its constants rounded, what goes in and comes out converted, all between in half the bits."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from srwatchd.engine.onnxfile import FLOAT, HALF, Operation
from srwatchd.engine.wire import WireError, encode, field, first, integers, last, parse, text

if TYPE_CHECKING:
    from srwatchd.engine.onnxfile import Onnx
    from srwatchd.engine.wire import Bytes, Field

__all__ = ["halved"]

_KNOWN: Final = frozenset(
    {"Add", "BatchNormalization", "Clip", "Concat", "Constant", "Conv", "ConvTranspose", "DepthToSpace", "Div", "Elu"}
    | {"GlobalAveragePool", "Identity", "LeakyRelu", "Mul", "PRelu", "Relu", "Sigmoid", "Sub", "Tanh", "Transpose"}
)
"""What computes in the type of its input, whichever that is."""
_INITIALIZER: Final = 5
_VALUE_INFO: Final = 13
_TAKEN: Final = 1
_GIVEN: Final = 2
_ATTRIBUTE: Final = 5
_TENSOR: Final = 5
"""Numbers of fields: of the graph, of a node, and of a node's attribute."""


def halved(network: Onnx) -> Onnx | None:
    """``network`` computing in f16, its ports as they were; None when it holds something for which that is not known.

    Raises :class:`WireError` when a constant is damaged or too large for f16.
    """
    if any(each.kind not in _KNOWN for each in network.operations):
        return None
    given = {each.name: f"{each.name}.half" for each in (*network.inputs, *network.outputs) if each.kind == FLOAT}
    before = [_cast(each.name, given[each.name], HALF) for each in network.inputs if each.name in given]
    after = [_cast(given[each.name], each.name, FLOAT) for each in network.outputs if each.name in given]
    within = [_renamed(each, given) for each in network.operations]
    graph = tuple(_half_constant(each) for each in network.graph if each.number != _VALUE_INFO)
    return replace(network, operations=(*before, *within, *after), graph=graph)


def _half_constant(one: Field) -> Field:
    """A constant among the graph's fields with its numbers rounded; another field as it is."""
    if one.number != _INITIALIZER or isinstance(one.value, int):
        return one
    return field(one.number, _half(one.value))


def _half(tensor: Bytes) -> bytes:
    """A TensorProto of floats as one of halves."""
    fields = parse(tensor)
    if last(fields, 2) != FLOAT:
        return bytes(tensor)
    numbers = np.frombuffer(first(fields, 9) or first(fields, 4), "<f4")
    if not bool((np.abs(numbers) <= np.finfo(np.float16).max).all()):
        raise WireError("it has weights that f16 cannot hold")
    sizes = [field(1, size) for size in integers(fields, 1)]
    return encode([*sizes, field(2, HALF), field(8, text(fields, 8)), field(9, numbers.astype("<f2").tobytes())])


def _renamed(node: Operation, names: dict[str, str]) -> Operation:
    """``node`` with the ports' names inside the network; the value of a Constant rounded."""
    inputs, outputs = (tuple(names.get(name, name) for name in ports) for ports in (node.inputs, node.outputs))
    rest = [each for each in node.fields if each.number not in (_TAKEN, _GIVEN)]
    if node.kind == "Constant":
        rest = [_half_value(each) for each in rest]
    ports = (*(field(_TAKEN, name) for name in inputs), *(field(_GIVEN, name) for name in outputs))
    return replace(node, inputs=inputs, outputs=outputs, fields=(*ports, *rest))


def _half_value(one: Field) -> Field:
    """The attribute of a Constant that is its tensor, rounded; another field as it is."""
    if one.number != _ATTRIBUTE or isinstance(one.value, int):
        return one
    inner = [
        field(_TENSOR, _half(each.value)) if each.number == _TENSOR and not isinstance(each.value, int) else each
        for each in parse(one.value)
    ]
    return field(_ATTRIBUTE, encode(inner))


def _cast(source: str, target: str, kind: int) -> Operation:
    to = encode([field(1, "to"), field(3, kind), field(20, 2)])
    fields = (field(_TAKEN, source), field(_GIVEN, target), field(4, "Cast"), field(_ATTRIBUTE, to))
    return Operation("Cast", (source,), (target,), {}, fields)

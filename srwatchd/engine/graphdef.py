"""Frozen TensorFlow graphs: what one holds, and its 8-bit weights written out as floating point.

Field numbers are those of TensorFlow's graph.proto, node_def.proto, attr_value.proto and tensor.proto.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from srwatchd.engine.wire import Field, WireError, encode, field, first, integers, last, parse, text

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from srwatchd.engine.wire import Bytes

__all__ = ["GraphDef", "Node", "dequantized", "read_graphdef"]

_NODE: Final = 1
_ATTRIBUTE: Final = 5
_TENSOR: Final = 8
_DT_FLOAT: Final = 1
_TYPES: Final = {1: np.float32, 2: np.float64, 3: np.int32, 4: np.uint8, 9: np.int64, 12: np.uint8, 19: np.float16}
_QUINT8: Final = 12
_VALUES: Final = {1: 5, 3: 7, 4: 7, 12: 7}
_STEPS: Final = 255
_INPUTS: Final = ("Placeholder", "IteratorGetNext")


@dataclass(frozen=True, slots=True)
class Node:
    """An operation: what it is, what it takes, and its attributes, each still a message."""

    name: str
    kind: str
    inputs: tuple[str, ...]
    attributes: dict[str, Bytes]


@dataclass(frozen=True, slots=True)
class GraphDef:
    """The operations in their order; ``fields`` is the message itself."""

    nodes: tuple[Node, ...]
    fields: tuple[Field, ...]

    @property
    def leaves(self) -> tuple[str, ...]:
        """The names of what nothing else takes, constants aside."""
        taken = {each.lstrip("^").partition(":")[0] for node in self.nodes for each in node.inputs}
        return tuple(node.name for node in self.nodes if node.name not in taken and node.kind not in ("Const", "NoOp"))

    @property
    def pictures(self) -> tuple[str, ...]:
        """The names of what is fed from outside."""
        return tuple(node.name for node in self.nodes if node.kind in _INPUTS)

    @property
    def parameters(self) -> int:
        """The numbers in its constants of floating point or 8 bit."""
        return sum(_count(node) for node in self.nodes if node.kind == "Const")


def read_graphdef(data: Bytes) -> GraphDef:
    """The graph in ``data``. Raises :class:`WireError` when it is none."""
    fields = parse(data)
    nodes = tuple(_node(each.value) for each in fields if each.number == _NODE and not isinstance(each.value, int))
    if not nodes or not all(node.name and node.kind for node in nodes):
        raise WireError("it holds no graph")
    return GraphDef(nodes, tuple(fields))


def dequantized(graph: GraphDef) -> bytes | None:
    """The graph with every 8-bit weight as 32-bit floating point; None when there is nothing to change.

    A ``Dequantize`` of quint8 with mode MIN_FIRST gives ``q * step + step * round(min / step)`` with
    ``step = (max - min) / 255`` (TensorFlow, kernels/quantization_utils.h). Each becomes a constant of exactly the
    numbers that ``cv2.dnn`` makes of it when it reads the original: step and shift in single precision, the sum in
    double, rounded once. Raises :class:`WireError` for other modes and types.
    """
    nodes = {node.name: node for node in graph.nodes}
    wanted = [node for node in graph.nodes if node.kind == "Dequantize"]
    if not wanted:
        return None
    replaced = {node.name: _constant(node, nodes) for node in wanted}
    spent = {each.lstrip("^").removesuffix(":0") for node in wanted for each in node.inputs}
    kept = {each.removesuffix(":0") for node in graph.nodes if node.kind != "Dequantize" for each in node.inputs}
    fields = []
    for each, node in zip((one for one in graph.fields if one.number == _NODE), graph.nodes, strict=True):
        if node.name in replaced:
            fields.append(field(_NODE, replaced[node.name]))
        elif node.name not in spent or node.name in kept:
            fields.append(each)
    return encode([*fields, *(each for each in graph.fields if each.number != _NODE)])


def _node(data: Bytes) -> Node:
    fields = parse(data)
    attributes = {}
    for each in fields:
        if each.number == _ATTRIBUTE and not isinstance(each.value, int):
            pair = parse(each.value)
            attributes[text(pair, 1)] = first(pair, 2)
    inputs = tuple(
        bytes(each.value).decode("utf-8", "backslashreplace")
        for each in fields
        if each.number == 3 and not isinstance(each.value, int)  # noqa: PLR2004 - the field's number
    )
    return Node(text(fields, 1), text(fields, 2), inputs, attributes)


def _constant(node: Node, nodes: dict[str, Node]) -> bytes:
    """The NodeDef of a floating-point constant with what the Dequantize ``node`` gives."""
    mode = bytes(first(parse(node.attributes.get("mode", b"")), 2)) or b"MIN_COMBINED"
    sources = [nodes.get(each.removesuffix(":0")) for each in node.inputs]
    if mode != b"MIN_FIRST" or len(sources) != 3 or any(one is None or one.kind != "Const" for one in sources):  # noqa: PLR2004 - weights, least, most
        raise WireError(f"its weights {node.name!r} are quantised in a way that is not known ({mode.decode()})")
    weights, least, most = (_values(one) for one in sources if one is not None)
    low, high = float(least.reshape(-1)[0]), float(most.reshape(-1)[0])
    if weights.dtype != np.uint8 or not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise WireError(f"its weights {node.name!r} are quantised in a way that is not known")
    step = (np.float32(high) - np.float32(low)) / np.float32(_STEPS)
    shift = np.rint(np.float32(low) / step) * step
    values = (weights.astype(np.float64) * float(step) + float(shift)).astype("<f4")
    shape = encode(field(2, encode([field(1, size)])) for size in values.shape)
    tensor = encode([field(1, _DT_FLOAT), field(2, shape), field(4, values.tobytes())])
    kind = _attribute("dtype", encode([field(6, _DT_FLOAT)]))
    value = _attribute("value", encode([field(_TENSOR, tensor)]))
    return encode([field(1, node.name), field(2, "Const"), kind, value])


def _attribute(key: str, value: bytes) -> Field:
    return field(_ATTRIBUTE, encode([field(1, key), field(2, value)]))


def _tensor(node: Node) -> list[Field]:
    return parse(first(parse(node.attributes.get("value", b"")), _TENSOR))


def _shape(tensor: list[Field]) -> tuple[int, ...]:
    dimensions = [parse(each.value) for each in parse(first(tensor, 2)) if not isinstance(each.value, int)]
    shape = tuple(last(each, 1) for each in dimensions)
    if any(size < 0 for size in shape):
        raise WireError("a constant has a negative size")
    return shape


def _count(node: Node) -> int:
    tensor = _tensor(node)
    return math.prod(_shape(tensor)) if _TYPES.get(last(tensor, 1)) in (np.float32, np.float16, np.uint8) else 0


def _values(node: Node) -> NDArray[np.generic]:
    """The numbers of a constant in its shape; one that is given once stands for all."""
    tensor = _tensor(node)
    kind, shape = last(tensor, 1), _shape(tensor)
    dtype, size = _TYPES.get(kind), math.prod(shape)
    if dtype is None:
        raise WireError(f"the constant {node.name!r} has a type that is not known ({kind})")
    content = first(tensor, 4)
    if len(content):
        if len(content) != size * np.dtype(dtype).itemsize:
            raise WireError(f"the constant {node.name!r} has {len(content)} bytes for a shape of {shape}")
        return np.frombuffer(content, np.dtype(dtype).newbyteorder("<")).reshape(shape)
    listed = _listed(tensor, kind)
    if len(listed) not in (1, size):
        raise WireError(f"the constant {node.name!r} has {len(listed)} numbers for a shape of {shape}")
    return np.broadcast_to(listed.astype(dtype), shape) if len(listed) == 1 else listed.astype(dtype).reshape(shape)


def _listed(tensor: list[Field], kind: int) -> NDArray[np.generic]:
    """The numbers that stand one by one in a TensorProto."""
    number = _VALUES.get(kind, 0)
    if kind != _DT_FLOAT:
        return np.asarray(integers(tensor, number), np.int64)
    parts = b"".join(bytes(each.value) for each in tensor if each.number == number and not isinstance(each.value, int))
    if len(parts) % 4:
        raise WireError("numbers of floating point are cut short")
    return np.frombuffer(parts, "<f4")

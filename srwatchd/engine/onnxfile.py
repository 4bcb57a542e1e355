"""ONNX networks: what one takes and gives, and the changes that it may need to run on tiles of any size.

Field numbers are those of onnx.proto. A network that was exported for one size is set free of it, where nothing but
the declared sizes and the pixel shuffle (written as Reshape, Transpose, Reshape) depends on it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from srwatchd.engine.wire import Field, WireError, encode, field, first, integers, last, parse, text

if TYPE_CHECKING:
    from srwatchd.engine.wire import Bytes

__all__ = ["FLOAT", "HALF", "Onnx", "Operation", "Port", "Tensor", "freed", "is_onnx", "only_output", "read_onnx"]

FLOAT: Final = 1
HALF: Final = 10
_INT64: Final = 7
_GRAPH: Final = 7
_NODE: Final = 1
_INITIALIZER: Final = 5
_INPUT: Final = 11
_OUTPUT: Final = 12
_VALUE_INFO: Final = 13
_EXTERNAL: Final = 1
_PICTURE_RANK: Final = 4
_SHUFFLES: Final[dict[tuple[int, ...], str]] = {(0, 1, 4, 2, 5, 3): "CRD", (0, 3, 4, 1, 5, 2): "DCR"}


@dataclass(frozen=True, slots=True)
class Tensor:
    """A constant of the graph: its shape, its type's number, and its bytes."""

    shape: tuple[int, ...]
    kind: int
    fields: tuple[Field, ...]

    def integers(self) -> tuple[int, ...]:
        """Its numbers, of a list of int64; nothing for another type."""
        if self.kind != _INT64:
            return ()
        raw = first(self.fields, 9)
        return tuple(np.frombuffer(raw, "<i8").tolist()) if len(raw) else tuple(integers(self.fields, 7))


@dataclass(frozen=True, slots=True)
class Operation:
    """A node: what it is, what it takes and gives, and its attributes, each a message."""

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, tuple[Field, ...]]
    fields: tuple[Field, ...]

    def number(self, attribute: str, default: int) -> int:
        """An attribute that is an integer."""
        return last(self.attributes.get(attribute, ()), 3, default)


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output of the network: its type's number, and its sizes, None where any will do."""

    name: str
    kind: int
    sizes: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class Onnx:
    """A network. ``fields`` is the model's message, ``graph`` that of its graph without the nodes and constants."""

    operations: tuple[Operation, ...]
    constants: dict[str, Tensor]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    graph: tuple[Field, ...]
    fields: tuple[Field, ...]

    @property
    def parameters(self) -> int:
        """The numbers in its constants of floating point."""
        return sum(math.prod(each.shape) for each in self.constants.values() if each.kind in (FLOAT, HALF))

    def encoded(self) -> bytes:
        """The file."""
        graph = encode([*self.graph, *(field(_NODE, encode(each.fields)) for each in self.operations)])
        return encode([*(each for each in self.fields if each.number != _GRAPH), field(_GRAPH, graph)])


def is_onnx(data: Bytes) -> bool:
    """Whether ``data`` begins as an ONNX model does (its version) and not as a frozen graph does (a node)."""
    return bytes(data[:1]) == b"\x08"


def read_onnx(data: Bytes) -> Onnx:
    """The network in ``data``. Raises :class:`WireError` when it is none, or is spread over several files."""
    fields = tuple(parse(data))
    graph = parse(first(fields, _GRAPH))
    operations = tuple(_operation(each.value) for each in graph if each.number == _NODE)
    constants = {}
    for each in graph:
        if each.number == _INITIALIZER:
            name, tensor = _tensor(each.value)
            constants[name] = tensor
    for node in operations:
        if node.kind == "Constant" and "value" in node.attributes:
            constants[node.outputs[0]] = _tensor(first(node.attributes["value"], 5))[1]
    inputs = tuple(port for port in _ports(graph, _INPUT) if port.name not in constants)
    outputs = _ports(graph, _OUTPUT)
    if not operations or not outputs:
        raise WireError("it holds no network")
    rest = tuple(each for each in graph if each.number != _NODE)
    return Onnx(operations, constants, inputs, outputs, rest, fields)


def freed(network: Onnx) -> Onnx | None:
    """The network without the one picture size that it was exported for; None when it was not."""
    sizes = network.inputs[0].sizes
    if len(sizes) != _PICTURE_RANK or sum(size is not None for size in sizes[1:]) < len(sizes[1:]):
        return None
    ports = {each.name for each in (*network.inputs, *network.outputs)}
    graph = []
    for each in network.graph:
        if each.number == _VALUE_INFO:
            continue
        is_port = each.number in (_INPUT, _OUTPUT) and text(parse(_bytes(each)), 1) in ports
        graph.append(field(each.number, _any_size(_bytes(each))) if is_port else each)
    return replace(network, operations=_shuffled(network), graph=tuple(graph))


def only_output(network: Onnx, name: str) -> Onnx:
    """The network with the one output ``name`` and what it takes to get there; LapSRN has one for each of its levels.

    Raises :class:`WireError` when there is no such output.
    """
    if name not in (each.name for each in network.outputs):
        raise WireError(f"it has no output {name!r}")
    wanted, needed = {name}, []
    for each in reversed(network.operations):  # an ONNX graph is in order: what is taken was given before
        if wanted & set(each.outputs):
            wanted |= set(each.inputs)
            needed.append(each)
    graph = [each for each in network.graph if each.number != _OUTPUT or text(parse(_bytes(each)), 1) == name]
    outputs = tuple(each for each in network.outputs if each.name == name)
    return replace(network, operations=tuple(reversed(needed)), outputs=outputs, graph=tuple(graph))


def _bytes(one: Field) -> Bytes:
    if isinstance(one.value, int):
        raise WireError(f"field {one.number} holds a number where bytes belong")
    return one.value


def _operation(data: int | Bytes) -> Operation:
    if isinstance(data, int):
        raise WireError("a number stands where a node belongs")
    fields = tuple(parse(data))
    attributes = {text(each, 1): tuple(each) for each in (parse(_bytes(one)) for one in fields if one.number == 5)}  # noqa: PLR2004
    named = {
        number: tuple(bytes(_bytes(one)).decode("utf-8", "replace") for one in fields if one.number == number)
        for number in (1, 2)
    }
    return Operation(text(fields, 4), named[1], named[2], attributes, fields)


def _tensor(data: int | Bytes) -> tuple[str, Tensor]:
    if isinstance(data, int):
        raise WireError("a number stands where a constant belongs")
    fields = tuple(parse(data))
    if last(fields, 14) == _EXTERNAL or any(each.number == 13 for each in fields):  # noqa: PLR2004 - external_data
        raise WireError("its weights are in other files; export it again with everything in one file")
    return text(fields, 8), Tensor(tuple(integers(fields, 1)), last(fields, 2), fields)


def _ports(graph: list[Field], number: int) -> tuple[Port, ...]:
    found = []
    for each in graph:
        if each.number == number:
            info = parse(_bytes(each))
            tensor = parse(first(parse(first(info, 2)), 1))
            sizes = [_size(parse(_bytes(one))) for one in parse(first(tensor, 2)) if one.number == 1]
            found.append(Port(text(info, 1), last(tensor, 1), tuple(sizes)))
    return tuple(found)


def _size(dimension: list[Field]) -> int | None:
    size = last(dimension, 1)
    return size if size > 0 else None


def _any_size(info: Bytes) -> bytes:
    """A ValueInfoProto with free height and width: every size but those of batch and planes gets a name."""
    fields = parse(info)
    tensor = parse(first(parse(first(fields, 2)), 1))
    dimensions = []
    for index, each in enumerate(one for one in parse(first(tensor, 2)) if one.number == 1):
        size = last(parse(_bytes(each)), 1)
        fixed = index == 0 or size in (1, 3)
        name = "".join(("any", str(index)))
        dimensions.append(field(1, encode([field(1, 1 if index == 0 else size) if fixed else field(2, name)])))
    tensor = [each for each in tensor if each.number != 2] + [field(2, encode(dimensions))]  # noqa: PLR2004 - its shape
    return encode([field(1, text(fields, 1)), field(2, encode([field(1, encode(tensor))]))])


def _shuffled(network: Onnx) -> tuple[Operation, ...]:
    """The operations with each Reshape, Transpose, Reshape that is a pixel shuffle as one DepthToSpace."""
    takers: dict[str, list[Operation]] = {}
    for each in network.operations:
        for name in each.inputs:
            takers.setdefault(name, []).append(each)
    instead: dict[int, Operation] = {}
    gone: set[int] = set()
    for each in network.operations:
        chain = _chain(each, takers)
        found = None if chain is None else _shuffle(chain, network.constants)
        if chain is not None and found is not None:
            instead[id(chain[2])] = found
            gone |= {id(chain[0]), id(chain[1])}
    return tuple(instead.get(id(each), each) for each in network.operations if id(each) not in gone)


def _chain(start: Operation, takers: dict[str, list[Operation]]) -> tuple[Operation, Operation, Operation] | None:
    """``start`` and the two that follow, when they are Reshape, Transpose, Reshape and nothing else takes between."""
    chain = [start]
    while len(chain) < len(("Reshape", "Transpose", "Reshape")):
        following = takers.get(chain[-1].outputs[0], []) if chain[-1].outputs else []
        if len(following) != 1:
            return None
        chain.append(following[0])
    one, two, three = chain
    return (one, two, three) if [each.kind for each in chain] == ["Reshape", "Transpose", "Reshape"] else None


def _shuffle(chain: tuple[Operation, Operation, Operation], constants: dict[str, Tensor]) -> Operation | None:
    one, two, three = chain
    apart, together = (
        constants[each.inputs[1]].integers() if len(each.inputs) > 1 and each.inputs[1] in constants else ()
        for each in (one, three)
    )
    mode = _SHUFFLES.get(tuple(integers(two.attributes.get("perm", ()), 8)))
    if mode is None or len(apart) != 6 or len(together) != _PICTURE_RANK:  # noqa: PLR2004 - a picture with its blocks
        return None
    channels, down, across = (apart[1], apart[2], apart[3]) if mode == "CRD" else (apart[3], apart[1], apart[2])
    if down != across or tuple(together[1:]) != (channels, apart[4] * down, apart[5] * across):
        return None
    attributes = [
        encode([field(1, "blocksize"), field(3, down), field(20, 2)]),
        encode([field(1, "mode"), field(4, mode), field(20, 3)]),
    ]
    fields = [field(1, one.inputs[0]), field(2, three.outputs[0]), field(4, "DepthToSpace")]
    return _operation(encode([*fields, *(field(5, each) for each in attributes)]))

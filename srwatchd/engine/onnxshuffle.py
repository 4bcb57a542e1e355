"""The pixel shuffle of an ONNX network as a transposed convolution: ``cv2.dnn`` gets that right whatever ran before.

``cv2.dnn_superres`` puts a DepthToSpace of its own in the place of OpenCV's, for the rest of the process and for every
network; that one reads neither block size nor mode. A transposed convolution with a kernel and a stride of the block's
size and weights of 0 and 1 gives the very same numbers, and nobody replaces it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from srwatchd.engine.onnxfile import HALF, Operation, read_onnx
from srwatchd.engine.wire import WireError, encode, field, text

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from srwatchd.engine.onnxfile import Onnx
    from srwatchd.engine.wire import Bytes

__all__ = ["without_depth_to_space"]

_PASSING: Final = frozenset(
    {"Add", "BatchNormalization", "Clip", "Elu", "Identity", "LeakyRelu", "Mul", "PRelu", "Relu", "Sigmoid", "Sub"}
    | {"Tanh"}
)
"""What leaves the number of planes as its first input has it."""


def without_depth_to_space(data: Bytes) -> bytes:
    """The ONNX model ``data`` with every DepthToSpace replaced; equal numbers come out.

    Raises :class:`WireError` when the planes that one of them takes cannot be told from the graph.
    """
    network = read_onnx(data)
    makers = {name: each for each in network.operations for name in each.outputs}
    operations, tensors = [], []
    for number, each in enumerate(network.operations):
        if each.kind != "DepthToSpace":
            operations.append(each)
            continue
        planes, kind = _planes(each, makers, network)
        name = f"srwatchd.shuffle.{number}"
        kernel, groups = _kernel(planes, each.number("blocksize", 1), text(each.attributes.get("mode", ()), 4))
        dtype = "<f2" if kind == HALF else "<f4"
        raw = kernel.astype(dtype).tobytes()
        sizes = [field(1, size) for size in kernel.shape]
        tensors.append(encode([*sizes, field(2, kind), field(8, name), field(9, raw)]))
        operations.append(_transposed(each, name, kernel.shape[2], groups))
    if not tensors:
        return bytes(data)
    graph = (*network.graph, *(field(5, each) for each in tensors))
    return replace(network, operations=tuple(operations), graph=graph).encoded()


def _planes(shuffle: Operation, makers: dict[str, Operation], network: Onnx) -> tuple[int, int]:
    """How many planes ``shuffle`` takes, and the number of their type."""
    name = shuffle.inputs[0]
    for _ in network.operations:
        maker = makers.get(name)
        if maker is None:
            break
        weights = network.constants.get(maker.inputs[1]) if len(maker.inputs) > 1 else None
        if maker.kind == "Conv" and weights is not None and weights.shape:
            return weights.shape[0], weights.kind
        if maker.kind == "ConvTranspose" and weights is not None and len(weights.shape) > 1:
            return weights.shape[1] * maker.number("group", 1), weights.kind
        if maker.kind not in _PASSING:
            break
        name = next((each for each in maker.inputs if each in makers and each not in network.constants), "")
    raise WireError("the planes that its pixel shuffle takes are not known")


def _kernel(planes: int, block: int, mode: str) -> tuple[NDArray[np.float32], int]:
    """The weights, input planes x output planes of a group x block x block, and the groups."""
    area = block * block
    if block < 1 or planes % area:
        raise WireError(f"its pixel shuffle cannot make blocks of {block} from {planes} planes")
    given = planes // area
    plane = np.arange(planes)
    if mode == "CRD" or given == 1:  # the planes of a block are neighbours: each output plane is a group of its own
        kernel = np.zeros((planes, 1, block, block), np.float32)
        kernel[plane, 0, plane % area // block, plane % block] = 1
        return kernel, given
    kernel = np.zeros((planes, given, block, block), np.float32)
    kernel[plane, plane % given, plane // given // block, plane // given % block] = 1
    return kernel, 1


def _transposed(shuffle: Operation, weights: str, block: int, groups: int) -> Operation:
    attributes = [
        encode([field(1, name), field(8, block), field(8, block), field(20, 7)]) for name in ("kernel_shape", "strides")
    ]
    attributes.append(encode([field(1, "group"), field(3, groups), field(20, 2)]))
    fields = (
        *(field(1, name) for name in (shuffle.inputs[0], weights)),
        field(2, shuffle.outputs[0]),
        field(4, "ConvTranspose"),
        *(field(5, each) for each in attributes),
    )
    return Operation("ConvTranspose", (shuffle.inputs[0], weights), shuffle.outputs, {}, fields)

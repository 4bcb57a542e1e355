"""A network as OpenVINO runs it fastest on processors: other operations, the same numbers up to rounding.

What each change is worth was measured on a processor with AVX2 (docs/performance-engines.md). A network to which none
applies stays as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["rewritten"]

_VECTOR: Final = 8
"""Planes that AVX2 computes at once; a convolution that gives fewer leaves the rest of a vector idle."""
_GROUP: Final = 2
_SLOW_PLANES: Final = (1, _VECTOR + 1)
"""A convolution to so many planes spends most of its time on a vector with one number in it."""


def rewritten(model: Any, operations: Any) -> tuple[Any, int]:
    """``model`` rewritten in place, and the multiple of pixels that it gives results for: the last may be too many.

    ``operations`` is one of OpenVINO's operation sets.
    """
    for node in model.get_ordered_ops():
        if node.get_type_name() == "Tanh":
            _replace(node, _by_sigmoid(node, operations))
    return model, _last_convolution(model, operations)


def _by_sigmoid(tanh: Any, operations: Any) -> Any:
    """tanh(x) = 2 sigmoid(2x) - 1: exp and a division, where OpenVINO looks tanh up in a table, a number at a time."""
    two, one = (operations.constant(np.float32(value)) for value in (2.0, 1.0))
    sigmoid = operations.sigmoid(operations.multiply(tanh.input_value(0), two))
    return operations.subtract(operations.multiply(sigmoid, two), one)


def _last_convolution(model: Any, operations: Any) -> int:
    """Rewrite the convolution before a last pixel shuffle of one plane, if it gives few planes."""
    shuffle = model.outputs[0].get_node().input_value(0).get_node()
    found = _convolution_before(shuffle)
    if found is None:
        return 1
    convolution, bias = found
    weights = _constant(convolution.input(1))
    block = shuffle.get_attributes()["block_size"]
    if weights is None or min(weights.shape[2:]) == 1 or weights.shape[0] != block * block:
        return 1
    if weights.shape[0] < _VECTOR:
        _replace(shuffle, _grouped(convolution, weights, bias, block, operations))
        return _GROUP
    if weights.shape[0] % _VECTOR in _SLOW_PLANES:
        _replace(shuffle, _filled(convolution, weights, bias, block, operations))
    return 1


def _convolution_before(shuffle: Any) -> tuple[Any, NDArray[np.float32]] | None:
    """The convolution and its bias that ``shuffle`` takes, when it is of the plain kind that is known here."""
    if shuffle.get_type_name() != "DepthToSpace" or shuffle.get_attributes()["mode"] != "blocks_first":
        return None
    add = shuffle.input_value(0).get_node()
    if add.get_type_name() != "Add" or len(shuffle.input_value(0).get_target_inputs()) != 1:
        return None
    convolution, bias = add.input_value(0).get_node(), _constant(add.input(1))
    if convolution.get_type_name() != "Convolution" or bias is None or bias.size != bias.shape[1]:
        return None
    told = convolution.get_attributes()
    plain = told["auto_pad"] == "same_upper" and set(told["strides"]) == set(told["dilations"]) == {1}
    return (convolution, bias.reshape(-1)) if plain else None


def _grouped(
    convolution: Any, weights: NDArray[np.float32], bias: NDArray[np.float32], block: int, operations: Any
) -> Any:
    """Four neighbours at once: a step of 2, a kernel larger by 1 with the weights once for each, twice the block.

    An odd height or width gets a row or column of results too many.
    """
    planes, taken, height, width = weights.shape
    kernel = np.zeros((_GROUP, block, _GROUP, block, taken, height + 1, width + 1), np.float32)
    own = weights.reshape(block, block, taken, height, width)
    for down in range(_GROUP):
        for right in range(_GROUP):
            kernel[down, :, right, :, :, down : down + height, right : right + width] = own
    biases = np.broadcast_to(bias.reshape(1, block, 1, block), (_GROUP, block, _GROUP, block))
    joined = planes * _GROUP * _GROUP
    made = operations.convolution(
        convolution.input_value(0),
        operations.constant(kernel.reshape(joined, taken, height + 1, width + 1)),
        [_GROUP, _GROUP],
        [(height - 1) // 2, (width - 1) // 2],
        [height // 2 + 1, width // 2 + 1],
        [1, 1],
    )
    summed = operations.add(made, operations.constant(biases.reshape(1, joined, 1, 1).copy()))
    return operations.depth_to_space(summed, "blocks_first", block * _GROUP)


def _filled(
    convolution: Any, weights: NDArray[np.float32], bias: NDArray[np.float32], block: int, operations: Any
) -> Any:
    """Planes of nothing up to whole vectors, cut off before the shuffle."""
    planes, taken, height, width = weights.shape
    full = -(-planes // _VECTOR) * _VECTOR
    kernel = np.zeros((full, taken, height, width), np.float32)
    kernel[:planes] = weights
    biases = np.zeros((1, full, 1, 1), np.float32)
    biases[0, :planes, 0, 0] = bias
    made = operations.convolution(
        convolution.input_value(0), operations.constant(kernel), [1, 1], [0, 0], [0, 0], [1, 1], "same_upper"
    )
    summed = operations.add(made, operations.constant(biases))
    start, stop, step, axis = (operations.constant(np.array([value], np.int64)) for value in (0, planes, 1, 1))
    return operations.depth_to_space(operations.slice(summed, start, stop, step, axis), "blocks_first", block)


def _constant(taken: Any) -> NDArray[np.float32] | None:
    """The numbers of an input that is a constant of floats."""
    node = taken.get_source_output().get_node()
    if node.get_type_name() != "Constant":
        return None
    numbers: NDArray[np.generic] = node.data
    return numbers.astype(np.float32) if numbers.dtype == np.float32 and numbers.ndim == len("OIHW") else None


def _replace(old: Any, new: Any) -> None:
    """Let all that takes the result of ``old`` take that of ``new``."""
    result = new.output(0)
    for each in old.output(0).get_target_inputs():
        each.replace_source_output(result)

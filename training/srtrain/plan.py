"""A network as plain data: what the exporters write and the checks run.

A plan is a short list of operations on named tensors in topological order. Training-time tricks
(skips, over-parameterised layers) are folded away before a plan is made, so the plan is exactly
what ships. The input tensor is called ``input``; the last operation yields the output.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

INPUT = "input"


@dataclass(frozen=True, slots=True)
class Conv:
    """Convolution with odd square kernel, zero padding to the same size, and bias."""

    name: str
    source: str
    weight: NDArray[np.float32]
    """Shape ``(out, in, k, k)``."""
    bias: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class PRelu:
    """Parametric rectifier with one slope per channel (He et al., 2015)."""

    name: str
    source: str
    slope: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Pointwise:
    """``relu`` or ``tanh``."""

    name: str
    source: str
    function: str


@dataclass(frozen=True, slots=True)
class Add:
    """Sum of two tensors of the same shape."""

    name: str
    source: str
    other: str


@dataclass(frozen=True, slots=True)
class DepthToSpace:
    """Rearrange ``block**2 * C`` channels into ``C`` larger planes, depth-column-row order."""

    name: str
    source: str
    block: int


Operation = Conv | PRelu | Pointwise | Add | DepthToSpace


def inputs_of(operation: Operation) -> tuple[str, ...]:
    """Return the names of the tensors that an operation reads."""
    if isinstance(operation, Add):
        return operation.source, operation.other
    return (operation.source,)


@dataclass(frozen=True, slots=True)
class Plan:
    """A complete network and what a reader must know to feed it."""

    channels: int
    scale: int
    operations: Sequence[Operation]
    stages: Mapping[int, str] = field(default_factory=dict)
    """Tensors of a pyramid that are outputs of their own, by scale; the last is the output."""

    @property
    def output(self) -> str:
        """Name of the last tensor."""
        return self.operations[-1].name

    def parameters(self) -> int:
        """Count the trained numbers in the shipped graph."""
        total = 0
        for operation in self.operations:
            if isinstance(operation, Conv):
                total += operation.weight.size + operation.bias.size
            elif isinstance(operation, PRelu):
                total += operation.slope.size
        return total

    def resolutions(self) -> dict[str, int]:
        """Return, for every tensor, how many times larger than the input it is, per side."""
        sizes = {INPUT: 1}
        for operation in self.operations:
            factor = operation.block if isinstance(operation, DepthToSpace) else 1
            sizes[operation.name] = factor * sizes[operation.source]
        return sizes

    def macs_per_input_pixel(self) -> int:
        """Count the multiplications of all convolutions per low-resolution pixel."""
        sizes = self.resolutions()
        return sum(
            op.weight.size * sizes[op.source] ** 2 for op in self.operations if isinstance(op, Conv)
        )

    def receptive_radius(self) -> int:
        """Return how many low-resolution pixels per side can influence an output pixel."""
        reach = {INPUT: 0}  # in pixels of the tensor
        for operation in self.operations:
            radius = max(reach[source] for source in inputs_of(operation))
            if isinstance(operation, Conv):
                radius += operation.weight.shape[2] // 2
            elif isinstance(operation, DepthToSpace):
                radius *= operation.block
            reach[operation.name] = radius
        return -(-reach[self.output] // self.scale)

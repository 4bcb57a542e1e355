"""A network as plain data: what the exporters write and the checks run.

A plan is a short list of operations on named tensors in topological order. Training-time tricks
(skips, over-parameterised layers) are folded away before a plan is made, so the plan is exactly
what ships. The input tensor is called ``input``; the last operation yields the output.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class Plan:
    """A complete network and what a reader must know to feed it."""

    channels: int
    scale: int
    operations: Sequence[Operation]

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

    def macs_per_input_pixel(self) -> int:
        """Count the multiplications of all convolutions per low-resolution pixel.

        Right for plans whose convolutions all run at low resolution, which is all we have.
        """
        return sum(op.weight.size for op in self.operations if isinstance(op, Conv))

    def receptive_radius(self) -> int:
        """Return how many low-resolution pixels per side can influence an output pixel."""
        reach = {INPUT: 0}
        for operation in self.operations:
            radius = reach[operation.source]
            if isinstance(operation, Conv):
                radius += operation.weight.shape[2] // 2
            elif isinstance(operation, Add):
                radius = max(radius, reach[operation.other])
            reach[operation.name] = radius
        return reach[self.output]

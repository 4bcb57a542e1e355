"""The pieces that several networks share, and how they are written into a plan."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from srtrain import plan as p


def as_array(tensor: Tensor) -> NDArray[np.float32]:
    """Return a copy of a tensor as a float32 array."""
    return tensor.detach().float().contiguous().numpy().copy()


def bias_of(layer: nn.Conv2d) -> Tensor:
    """Return the bias of a layer that has one."""
    assert layer.bias is not None
    return layer.bias


def conv_operation(name: str, source: str, layer: nn.Conv2d) -> p.Conv:
    """Write a convolution."""
    return p.Conv(name, source, as_array(layer.weight), as_array(bias_of(layer)))


def same_conv(width: int, out: int, size: int, *, spread: float | None = None) -> nn.Conv2d:
    """Return a convolution with zero bias; ``spread`` is the weights' initial deviation."""
    layer = nn.Conv2d(width, out, size, padding=size // 2)
    if spread is None:
        nn.init.kaiming_normal_(layer.weight, a=0.2)
    else:
        nn.init.normal_(layer.weight, std=spread)
    nn.init.zeros_(bias_of(layer))
    return layer


class Residual(nn.Module):
    """EDSR's block: convolution, ReLU, convolution, no normalisation, no scaling."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = same_conv(width, width, 3)
        self.second = same_conv(width, width, 3, spread=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` plus the block's correction."""
        correction: Tensor = self.second(functional.relu(self.first(x)))
        return x + correction


def block_operations(
    blocks: Iterable[nn.Module], prefix: str, source: str
) -> tuple[list[p.Operation], str]:
    """Write a chain of residual blocks; return the operations and the name of their result."""
    operations: list[p.Operation] = []
    for number, block in enumerate(blocks):
        assert isinstance(block, Residual)
        name = f"{prefix}block{number}"
        operations += [
            conv_operation(f"{name}_first", source, block.first),
            p.Pointwise(f"{name}_relu", f"{name}_first", "relu"),
            conv_operation(f"{name}_second", f"{name}_relu", block.second),
            p.Add(name, source, f"{name}_second"),
        ]
        source = name
    return operations, source

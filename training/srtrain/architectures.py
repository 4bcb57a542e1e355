"""The networks, each after its paper, with a ``plan()`` that folds them into what ships.

- FSRCNN: C. Dong, C. C. Loy, X. Tang, "Accelerating the Super-Resolution Convolutional Neural
  Network", ECCV 2016. The transposed convolution is written as its sub-pixel equivalent.
- ESPCN: W. Shi et al., "Real-Time Single Image and Video Super-Resolution Using an Efficient
  Sub-Pixel Convolutional Neural Network", CVPR 2016.
- EDSR: B. Lim et al., "Enhanced Deep Residual Networks for Single Image Super-Resolution",
  CVPRW 2017, with one sub-pixel step for every scale.
- LapSRN: in ``srtrain.laplacian``.

Networks take and return ``(N, C, H, W)``: luma in [0, 1], or BGR minus mean over ``EDSR_RANGE``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from srtrain import plan as p
from srtrain.colour import EDSR_RANGE
from srtrain.initial import delta, interpolation_kernel
from srtrain.laplacian import LapSrn
from srtrain.layers import Residual, as_array, bias_of, block_operations, conv_operation, same_conv


class LumaNetwork(nn.Module):
    """A luma network plus a trained interpolation kernel, both summed before the sub-pixel step.

    The kernel carries the low frequencies in full precision, which leaves the network the detail.
    At export it becomes one more channel of every layer, so a network that ships with d channels
    is trained with d - 1.
    """

    identity_gain = 1.0
    """What the picture is multiplied by in the identity channel."""

    def __init__(self, scale: int, layers: list[nn.Conv2d], tail: int) -> None:
        super().__init__()
        self.scale = scale
        self.layers = nn.ModuleList(layers)
        self.tail = same_conv(layers[-1].out_channels, scale * scale, tail, spread=1e-3)
        self.skip = nn.Conv2d(1, scale * scale, tail, padding=tail // 2, bias=False)
        with torch.no_grad():
            kernel = interpolation_kernel(scale, tail)
            self.skip.weight.copy_(torch.from_numpy(kernel[:, None]))

    def activate(self, number: int, x: Tensor) -> Tensor:
        """Apply the activation after layer ``number``."""
        raise NotImplementedError

    def activation(self, number: int) -> p.Operation:
        """Describe that activation, identity channel included."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Upscale ``x``; the skip is computed in float32 even under autocast."""
        with torch.autocast("cpu", enabled=False):
            low: Tensor = self.skip(x.float())
        for number, layer in enumerate(self.layers):
            x = self.activate(number, layer(x))
        detail: Tensor = self.tail(x)
        return functional.pixel_shuffle(low + detail.float(), self.scale)

    def plan(self) -> p.Plan:
        """Fold the interpolation into an identity channel of every layer."""
        operations: list[p.Operation] = []
        source, gain = p.INPUT, self.identity_gain
        for number, layer in enumerate(self.layers):
            assert isinstance(layer, nn.Conv2d)
            weight, bias = as_array(layer.weight), as_array(bias_of(layer))
            out, width, size, _ = weight.shape
            wider = np.zeros((out + 1, width + (number > 0), size, size), np.float32)
            wider[:out, :width] = weight
            wider[out, -1] = delta(size) * (gain if number == 0 else 1.0)
            operations.append(p.Conv(f"conv{number}", source, wider, np.append(bias, 0.0)))
            operations.append(self.activation(number))
            source = operations[-1].name
        skip = as_array(self.skip.weight) / np.float32(gain)
        weight = np.concatenate([as_array(self.tail.weight), skip], axis=1)
        operations.append(p.Conv("tail", source, weight, as_array(bias_of(self.tail))))
        operations.append(p.DepthToSpace("shuffle", "tail", self.scale))
        return p.Plan(1, self.scale, operations)


class Fsrcnn(LumaNetwork):
    """FSRCNN(d, s, m) with parametric rectifiers."""

    def __init__(self, scale: int, d: int = 56, s: int = 12, m: int = 4, tail: int = 3) -> None:
        d, s = d - 1, s - 1
        mapping = [same_conv(s, s, 3) for _ in range(m)]
        layers = [same_conv(1, d, 5), same_conv(d, s, 1), *mapping, same_conv(s, d, 1)]
        super().__init__(scale, layers, tail)
        self.slopes = nn.ModuleList(nn.PReLU(layer.out_channels, 0.2) for layer in layers)

    def activate(self, number: int, x: Tensor) -> Tensor:
        """Apply the layer's parametric rectifier."""
        slope: Tensor = self.slopes[number](x)
        return slope

    def activation(self, number: int) -> p.Operation:
        """Describe it; a slope of one leaves the identity channel alone."""
        slope = self.slopes.get_parameter(f"{number}.weight")
        slopes = np.append(as_array(slope), np.float32(1.0))
        return p.PRelu(f"prelu{number}", f"conv{number}", slopes)


class Espcn(LumaNetwork):
    """ESPCN: 5x5 to 64 channels, 3x3 to 32, both with tanh, then 3x3 to the sub-pixels."""

    identity_gain = 1.0 / 128.0
    """So small that tanh leaves the picture as it is, to 0.02 of 255 levels."""

    def __init__(self, scale: int, first: int = 64, second: int = 32) -> None:
        layers = [
            same_conv(1, first - 1, 5, spread=0.2),
            same_conv(first - 1, second - 1, 3, spread=(1.0 / (9 * (first - 1))) ** 0.5),
        ]
        super().__init__(scale, layers, 3)

    def activate(self, number: int, x: Tensor) -> Tensor:
        """Apply tanh."""
        del number
        return torch.tanh(x)

    def activation(self, number: int) -> p.Operation:
        """Describe it."""
        return p.Pointwise(f"tanh{number}", f"conv{number}", "tanh")


class Edsr(nn.Module):
    """EDSR with ``blocks`` residual blocks of ``width`` channels."""

    def __init__(self, scale: int, blocks: int = 8, width: int = 32) -> None:
        super().__init__()
        self.scale = scale
        self.head = same_conv(3, width, 3)
        self.blocks = nn.ModuleList(Residual(width) for _ in range(blocks))
        self.body_end = same_conv(width, width, 3, spread=1e-3)
        self.tail = same_conv(width, 3 * scale * scale, 3, spread=1e-3)
        with torch.no_grad():
            kernel = torch.from_numpy(interpolation_kernel(scale, 3))
            for colour in range(3):
                self.head.weight[colour] = 0.0
                self.head.weight[colour, colour] = torch.from_numpy(delta(3))
                planes = slice(colour * scale * scale, (colour + 1) * scale * scale)
                self.tail.weight[planes, :3] = 0.0
                self.tail.weight[planes, colour] = kernel

    def forward(self, x: Tensor) -> Tensor:
        """Upscale; head, long skip and tail run in float32 even under autocast."""
        with torch.autocast("cpu", enabled=False):
            head = self.head(x.float())
        body = head
        for block in self.blocks:
            body = block(body)
        body = self.body_end(body)
        with torch.autocast("cpu", enabled=False):
            return functional.pixel_shuffle(self.tail(head + body.float()), self.scale)

    def plan(self) -> p.Plan:
        """Write for BGR 0..255 minus mean, output channels in depth-column-row order."""
        head = conv_operation("head", p.INPUT, self.head)
        head = p.Conv("head", p.INPUT, head.weight / np.float32(EDSR_RANGE), head.bias)
        blocks, source = block_operations(self.blocks, "", "head")
        operations: list[p.Operation] = [head, *blocks]
        operations.append(conv_operation("body_end", source, self.body_end))
        operations.append(p.Add("body", "head", "body_end"))
        area = self.scale * self.scale
        order = np.arange(3 * area).reshape(3, area).swapaxes(0, 1).reshape(-1)
        gain = np.float32(EDSR_RANGE)
        weight = as_array(self.tail.weight)[order] * gain
        bias = as_array(bias_of(self.tail))[order] * gain
        operations.append(p.Conv("tail", "body", weight, bias))
        operations.append(p.DepthToSpace("shuffle", "tail", self.scale))
        return p.Plan(3, self.scale, operations)


Network = LumaNetwork | LapSrn | Edsr
ARCHITECTURES: dict[str, Callable[..., Network]] = {
    "fsrcnn": Fsrcnn,
    "espcn": Espcn,
    "lapsrn": LapSrn,
    "edsr": Edsr,
}


def build(architecture: str, scale: int, arguments: dict[str, Any]) -> Network:
    """Build an untrained network by its ``dnn_superres`` algorithm name."""
    return ARCHITECTURES[architecture](scale, **arguments)

"""The networks, each after its paper, with a ``plan()`` that folds them into what ships.

- FSRCNN: C. Dong, C. C. Loy, X. Tang, "Accelerating the Super-Resolution Convolutional Neural
  Network", ECCV 2016. The transposed convolution is written as its sub-pixel equivalent.
- ESPCN: W. Shi et al., "Real-Time Single Image and Video Super-Resolution Using an Efficient
  Sub-Pixel Convolutional Neural Network", CVPR 2016.
- EDSR: B. Lim et al., "Enhanced Deep Residual Networks for Single Image Super-Resolution",
  CVPRW 2017, with one sub-pixel step for every scale.

Networks take and return ``(N, C, H, W)``: luma in [0, 1], or BGR minus mean over ``EDSR_RANGE``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from srtrain import plan as p
from srtrain.initial import delta, interpolation_kernel

EDSR_MEAN_BGR = (103.1545782, 111.561547, 114.35629928)
EDSR_RANGE = 127.5


def _array(tensor: Tensor) -> NDArray[np.float32]:
    return tensor.detach().to(torch.float32).contiguous().numpy().copy()


def _conv(name: str, source: str, layer: nn.Conv2d) -> p.Conv:
    assert layer.bias is not None
    return p.Conv(name, source, _array(layer.weight), _array(layer.bias))


class LumaNetwork(nn.Module):
    """A luma network plus a trained interpolation kernel, both summed before the sub-pixel step.

    The kernel carries the low frequencies in full precision, which leaves the network the detail.
    At export it becomes one more channel of every layer; see the subclasses.
    """

    def __init__(self, scale: int, skip_size: int) -> None:
        super().__init__()
        self.scale = scale
        self.skip = nn.Conv2d(1, scale * scale, skip_size, padding=skip_size // 2, bias=False)
        with torch.no_grad():
            kernel = interpolation_kernel(scale, skip_size)
            self.skip.weight.copy_(torch.from_numpy(kernel[:, None]))

    def residual(self, x: Tensor) -> Tensor:
        """Return what the network adds, ``(N, scale**2, H, W)``."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Upscale ``x``; the skip is computed in float32 even under autocast."""
        detail = self.residual(x)
        with torch.autocast("cpu", enabled=False):
            low = self.skip(x.float())
            return functional.pixel_shuffle(low + detail.float(), self.scale)


class Fsrcnn(LumaNetwork):
    """FSRCNN(d, s, m); one of the d and one of the s channels carries the picture itself."""

    def __init__(self, scale: int, d: int = 56, s: int = 12, m: int = 4, tail: int = 3) -> None:
        super().__init__(scale, tail)
        d, s = d - 1, s - 1
        self.layers = nn.ModuleList(
            [
                nn.Conv2d(1, d, 5, padding=2),
                nn.Conv2d(d, s, 1),
                *(nn.Conv2d(s, s, 3, padding=1) for _ in range(m)),
                nn.Conv2d(s, d, 1),
            ]
        )
        self.slopes = nn.ModuleList(nn.PReLU(layer.out_channels, 0.2) for layer in self.layers)
        self.tail = nn.Conv2d(d, scale * scale, tail, padding=tail // 2)
        for layer in self.layers:
            nn.init.kaiming_normal_(layer.weight, a=0.2)
            nn.init.zeros_(layer.bias)
        nn.init.normal_(self.tail.weight, std=1e-3)
        nn.init.zeros_(self.tail.bias)

    def residual(self, x: Tensor) -> Tensor:
        """Return what the network adds to the interpolation."""
        for layer, slope in zip(self.layers, self.slopes, strict=True):
            x = slope(layer(x))
        return self.tail(x)

    def plan(self) -> p.Plan:
        """Fold the interpolation into an identity channel of every layer."""
        operations: list[p.Operation] = []
        source = p.INPUT
        for number, (layer, slope) in enumerate(zip(self.layers, self.slopes, strict=True)):
            weight, bias = _array(layer.weight), _array(layer.bias)
            out, width, size, _ = weight.shape
            wider = np.zeros((out + 1, width + (number > 0), size, size), np.float32)
            wider[:out, :width] = weight
            wider[out, -1] = delta(size)
            operations.append(p.Conv(f"conv{number}", source, wider, np.append(bias, 0.0)))
            slopes = np.append(_array(slope.weight), np.float32(1.0))
            operations.append(p.PRelu(f"prelu{number}", f"conv{number}", slopes))
            source = f"prelu{number}"
        weight = np.concatenate([_array(self.tail.weight), _array(self.skip.weight)], axis=1)
        operations.append(p.Conv("tail", source, weight, _array(self.tail.bias)))
        operations.append(p.DepthToSpace("shuffle", "tail", self.scale))
        return p.Plan(1, self.scale, operations)


class Residual(nn.Module):
    """EDSR's block: convolution, ReLU, convolution, no normalisation, no scaling."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        nn.init.kaiming_normal_(self.first.weight)
        nn.init.zeros_(self.first.bias)
        nn.init.normal_(self.second.weight, std=1e-3)
        nn.init.zeros_(self.second.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` plus the block's correction."""
        return x + self.second(functional.relu(self.first(x)))


class Edsr(nn.Module):
    """EDSR with ``blocks`` residual blocks of ``width`` channels."""

    def __init__(self, scale: int, blocks: int = 8, width: int = 32) -> None:
        super().__init__()
        self.scale = scale
        self.head = nn.Conv2d(3, width, 3, padding=1)
        self.blocks = nn.ModuleList(Residual(width) for _ in range(blocks))
        self.body_end = nn.Conv2d(width, width, 3, padding=1)
        self.tail = nn.Conv2d(width, 3 * scale * scale, 3, padding=1)
        nn.init.normal_(self.body_end.weight, std=1e-3)
        nn.init.zeros_(self.body_end.bias)
        nn.init.normal_(self.tail.weight, std=1e-2)
        with torch.no_grad():
            self.head.bias.zero_()
            self.tail.bias.zero_()
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
        head = _conv("head", p.INPUT, self.head)
        head = p.Conv("head", p.INPUT, head.weight / np.float32(EDSR_RANGE), head.bias)
        operations: list[p.Operation] = [head]
        source = "head"
        for number, block in enumerate(self.blocks):
            name = f"block{number}"
            operations += [
                _conv(f"{name}_first", source, block.first),
                p.Pointwise(f"{name}_relu", f"{name}_first", "relu"),
                _conv(f"{name}_second", f"{name}_relu", block.second),
                p.Add(name, source, f"{name}_second"),
            ]
            source = name
        operations.append(_conv("body_end", source, self.body_end))
        operations.append(p.Add("body", "head", "body_end"))
        area = self.scale * self.scale
        order = np.arange(3 * area).reshape(3, area).swapaxes(0, 1).reshape(-1)
        gain = np.float32(EDSR_RANGE)
        weight = _array(self.tail.weight)[order] * gain
        operations.append(p.Conv("tail", "body", weight, _array(self.tail.bias)[order] * gain))
        operations.append(p.DepthToSpace("shuffle", "tail", self.scale))
        return p.Plan(3, self.scale, operations)


ARCHITECTURES: dict[str, type[Fsrcnn | Edsr]] = {"fsrcnn": Fsrcnn, "edsr": Edsr}


def build(architecture: str, scale: int, arguments: dict[str, Any]) -> Fsrcnn | Edsr:
    """Build an untrained network by its ``dnn_superres`` algorithm name."""
    return ARCHITECTURES[architecture](scale, **arguments)

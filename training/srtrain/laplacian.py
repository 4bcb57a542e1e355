"""LapSRN: a pyramid that doubles the picture level by level.

W.-S. Lai, J.-B. Huang, N. Ahuja, M.-H. Yang, "Deep Laplacian Pyramid Networks for Fast and Accurate
Super-Resolution", CVPR 2017, with the residual blocks that the authors' "Fast and Accurate Image
Super-Resolution with Deep Laplacian Pyramid Networks" (PAMI 2018) adds. Each level doubles the
picture by a trained interpolation and adds the detail that its blocks found. What ``dnn_superres``
can shuffle is a single plane, so a level hands on the picture only, not its features.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from srtrain import plan as p
from srtrain.initial import interpolation_kernel
from srtrain.layers import Residual, bias_of, block_operations, conv_operation, same_conv

INTERPOLATION = 5
"""Side of the trained interpolation kernel."""


class Level(nn.Module):
    """One doubling of the picture."""

    def __init__(self, blocks: int, width: int) -> None:
        super().__init__()
        self.head = same_conv(1, width, 3)
        self.blocks = nn.ModuleList(Residual(width) for _ in range(blocks))
        self.body_end = same_conv(width, width, 3)
        self.detail = same_conv(width, 4, 3, spread=1e-3)
        self.picture = nn.Conv2d(1, 4, INTERPOLATION, padding=INTERPOLATION // 2)
        with torch.no_grad():
            kernel = interpolation_kernel(2, INTERPOLATION)
            self.picture.weight.copy_(torch.from_numpy(kernel[:, None]))
            nn.init.zeros_(bias_of(self.picture))

    def forward(self, picture: Tensor) -> Tensor:
        """Double the picture, whose own way runs in float32 even under autocast."""
        with torch.autocast("cpu", enabled=False):
            features = self.head(picture)
        for block in self.blocks:
            features = block(features)
        features = self.body_end(features).float()
        with torch.autocast("cpu", enabled=False):
            return functional.pixel_shuffle(self.detail(features) + self.picture(picture), 2)

    def operations(self, number: int, picture: str) -> list[p.Operation]:
        """Write the level; its last operation is named ``level`` with its number."""
        prefix = f"level{number}_"
        blocks, source = block_operations(self.blocks, prefix, f"{prefix}head")
        return [
            conv_operation(f"{prefix}head", picture, self.head),
            *blocks,
            conv_operation(f"{prefix}features", source, self.body_end),
            conv_operation(f"{prefix}detail", f"{prefix}features", self.detail),
            conv_operation(f"{prefix}picture", picture, self.picture),
            p.Add(f"{prefix}sum", f"{prefix}detail", f"{prefix}picture"),
            p.DepthToSpace(f"level{number}", f"{prefix}sum", 2),
        ]


class LapSrn(nn.Module):
    """A level for each doubling; ``levels`` has blocks and width of each."""

    def __init__(self, scale: int, levels: Sequence[tuple[int, int]]) -> None:
        super().__init__()
        self.scale = scale
        if scale != 1 << len(levels) or not levels:
            raise ValueError(f"x{scale} takes {math.log2(scale):g} levels, not {len(levels)}")
        self.levels = nn.ModuleList(Level(blocks, width) for blocks, width in levels)

    def pyramid(self, x: Tensor) -> list[Tensor]:
        """Return the picture after every level, the largest last."""
        pictures = [x.float()]
        for level in self.levels:
            pictures.append(level(pictures[-1]))
        return pictures[1:]

    def forward(self, x: Tensor) -> Tensor:
        """Upscale luma in [0, 1]."""
        return self.pyramid(x)[-1]

    def plan(self) -> p.Plan:
        """Write the levels one after another, each an output of its own."""
        operations: list[p.Operation] = []
        picture = p.INPUT
        stages: dict[int, str] = {}
        for number, level in enumerate(self.levels):
            assert isinstance(level, Level)
            operations += level.operations(number, picture)
            picture = stages[2 << number] = f"level{number}"
        return p.Plan(1, self.scale, operations, stages)

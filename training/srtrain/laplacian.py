"""LapSRN: a pyramid that doubles the picture level by level.

W.-S. Lai, J.-B. Huang, N. Ahuja, M.-H. Yang, "Deep Laplacian Pyramid Networks for Fast and Accurate
Super-Resolution", CVPR 2017, with the residual blocks that the authors' "Fast and Accurate Image
Super-Resolution with Deep Laplacian Pyramid Networks" (PAMI 2018) adds. Each level doubles the
picture by a trained interpolation and adds the detail that its blocks found. What ``dnn_superres``
can shuffle are single planes, so a level hands on a few planes of features to the next.
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
    """One doubling: the picture and ``taken`` planes in, the picture and ``given`` planes out."""

    def __init__(self, blocks: int, width: int, *, taken: int, given: int) -> None:
        super().__init__()
        self.given = given
        self.head = same_conv(1 + taken, width, 3)
        self.blocks = nn.ModuleList(Residual(width) for _ in range(blocks))
        self.body_end = same_conv(width, width, 3)
        self.detail = same_conv(width, 4, 3, spread=1e-3)
        pad = INTERPOLATION // 2
        self.picture = nn.Conv2d(1, 4, INTERPOLATION, padding=pad)
        if given:
            self.handed = same_conv(width, 4 * given, 3, spread=0.05)
        with torch.no_grad():
            kernel = interpolation_kernel(2, INTERPOLATION)
            self.picture.weight.copy_(torch.from_numpy(kernel[:, None]))
            nn.init.zeros_(bias_of(self.picture))

    def forward(self, picture: Tensor, planes: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Double both; the picture's own way runs in float32 even under autocast."""
        with torch.autocast("cpu", enabled=False):
            known = picture if planes is None else torch.cat([picture, planes], 1)
            features = self.head(known.float())
        for block in self.blocks:
            features = block(features)
        features = self.body_end(features).float()
        with torch.autocast("cpu", enabled=False):
            larger = functional.pixel_shuffle(self.detail(features) + self.picture(picture), 2)
            if not self.given:
                return larger, None
            return larger, functional.pixel_shuffle(self.handed(features), 2)

    def operations(self, number: int, picture: str, planes: list[str]) -> list[p.Operation]:
        """Write the level; its last operations are named ``level`` and ``plane``, with numbers."""
        prefix = f"level{number}_"
        written: list[p.Operation] = []
        known = picture
        if planes:
            known = f"{prefix}known"
            written.append(p.Concat(known, (picture, *planes)))
        written.append(conv_operation(f"{prefix}head", known, self.head))
        blocks, source = block_operations(self.blocks, prefix, f"{prefix}head")
        written += [
            *blocks,
            conv_operation(f"{prefix}features", source, self.body_end),
            conv_operation(f"{prefix}detail", f"{prefix}features", self.detail),
            conv_operation(f"{prefix}picture", picture, self.picture),
            p.Add(f"{prefix}sum", f"{prefix}detail", f"{prefix}picture"),
            p.DepthToSpace(f"level{number}", f"{prefix}sum", 2),
        ]
        for plane in range(self.given):
            conv = conv_operation(f"{prefix}handed{plane}", f"{prefix}features", self.handed)
            mine = slice(4 * plane, 4 * plane + 4)
            written += [
                p.Conv(conv.name, conv.source, conv.weight[mine], conv.bias[mine]),
                p.DepthToSpace(f"plane{number}_{plane}", conv.name, 2),
            ]
        return written


class LapSrn(nn.Module):
    """A level for each doubling; ``levels`` has blocks and width of each, ``given`` the planes."""

    def __init__(self, scale: int, levels: Sequence[tuple[int, int]], given: int = 3) -> None:
        super().__init__()
        self.scale = scale
        last = int(math.log2(scale)) - 1
        if scale != 2 << last or len(levels) != last + 1:
            raise ValueError(f"x{scale} does not take {len(levels)} levels")
        self.levels = nn.ModuleList(
            Level(
                blocks,
                width,
                taken=given if number else 0,
                given=given if number < last else 0,
            )
            for number, (blocks, width) in enumerate(levels)
        )

    def pyramid(self, x: Tensor) -> list[Tensor]:
        """Return the picture after every level, the largest last."""
        pictures: list[Tensor] = []
        picture, planes = x.float(), None
        for level in self.levels:
            picture, planes = level(picture, planes)
            pictures.append(picture)
        return pictures

    def forward(self, x: Tensor) -> Tensor:
        """Upscale luma in [0, 1]."""
        return self.pyramid(x)[-1]

    def plan(self) -> p.Plan:
        """Write the levels one after another, each an output of its own."""
        operations: list[p.Operation] = []
        picture, planes = p.INPUT, list[str]()
        stages: dict[int, str] = {}
        for number, level in enumerate(self.levels):
            assert isinstance(level, Level)
            operations += level.operations(number, picture, planes)
            picture = stages[2 << number] = f"level{number}"
            planes = [f"plane{number}_{plane}" for plane in range(level.given)]
        return p.Plan(1, self.scale, operations, stages)

"""Weights of one network as the beginning of another: other scale, colour to luma."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from srtrain.colour import EDSR_MEAN_BGR, EDSR_RANGE, FULL_RANGE_BGR

Weights = Mapping[str, Tensor]
FIRST_LEVEL = "levels.0."
LATER_LEVEL = re.compile(r"levels\.[1-9]\.")


def fitting(old: Weights, new: Weights, *, channels: int, scale: int) -> dict[str, Tensor]:
    """Return what of ``old`` fits a network ``new``.

    Sub-pixel layers are moved to its scale; a pyramid's further levels begin as its first where
    all of it fits.
    """
    taken = {}
    old = _first_levels(old, new) | dict(old)
    for name, wanted in new.items():
        found = old.get(name)
        if found is None:
            continue
        if name.startswith(("tail.", "skip.")) and found.shape[0] != wanted.shape[0]:
            moved = rescale_subpixels(found.numpy(), channels=channels, scale=scale)
            found = torch.from_numpy(moved)
        if found.shape == wanted.shape:
            taken[name] = found
    return taken


def _first_levels(old: Weights, new: Weights) -> dict[str, Tensor]:
    """Return the first level of ``old`` under the names of every later level like it in ``new``."""
    copies: dict[str, Tensor] = {}
    for level in sorted({match[0] for match in map(LATER_LEVEL.match, new) if match}):
        names = {
            name: FIRST_LEVEL + name.removeprefix(level) for name in new if name.startswith(level)
        }
        if all(of in old and old[of].shape == new[name].shape for name, of in names.items()):
            copies |= {name: old[of] for name, of in names.items()}
    return copies


def rescale_subpixels(
    tail: NDArray[np.float32], *, channels: int, scale: int
) -> NDArray[np.float32]:
    """Return a sub-pixel layer's weight or bias for another scale.

    The first axis of ``tail`` holds, per channel, the sub-pixels of an output pixel row by row.
    The new sub-pixels lie between or just outside the old ones' centres, on the straight line.
    """
    old = math.isqrt(tail.shape[0] // channels)
    wanted = (np.arange(scale) + 0.5) / scale * old - 0.5
    first = np.clip(np.floor(wanted), 0, old - 2).astype(int)
    line = np.zeros((scale, old))
    rows = np.arange(scale)
    line[rows, first] = 1.0 - (wanted - first)
    line[rows, first + 1] = wanted - first
    split = tail.reshape(channels, old, old, -1)
    moved: NDArray[np.float64] = np.einsum("yi,xj,cijw->cyxw", line, line, split)
    return moved.reshape(channels * scale * scale, *tail.shape[1:]).astype(np.float32)


def first_level_of(edsr: Weights) -> dict[str, Tensor]:
    """Return an EDSR x2 as the first level of LapSRN, for luma in [0, 1].

    Exact for grey pictures away from the borders: the colours of head and tail are summed, and
    what EDSR's long skip carries from head to tail becomes the level's interpolation.
    """
    shares, mean = torch.tensor(FULL_RANGE_BGR), torch.tensor(EDSR_MEAN_BGR)
    gain = 255.0 / EDSR_RANGE
    colours = edsr["head.weight"].float()
    head = colours.sum(1) * gain
    bias = edsr["head.bias"] - torch.einsum("ocyx,c->o", colours, mean / EDSR_RANGE)
    tail = torch.einsum("csiyx,c->siyx", edsr["tail.weight"].reshape(3, 4, -1, 3, 3), shares) / gain
    offset = edsr["tail.bias"].reshape(3, 4).T @ shares / gain + mean @ shares / 255.0
    kernel = torch.zeros(4, 1, 5, 5)
    for y in range(3):
        for x in range(3):
            kernel[:, 0, y : y + 3, x : x + 3] += torch.einsum("si,iyx->syx", tail[..., y, x], head)
    level = {f"levels.0.{name}": value for name, value in edsr.items()}
    level["levels.0.head.weight"], level["levels.0.head.bias"] = head[:, None], bias
    level["levels.0.picture.weight"] = kernel
    level["levels.0.picture.bias"] = offset + torch.einsum("siyx,i->s", tail, bias)
    level["levels.0.detail.weight"] = tail
    return level

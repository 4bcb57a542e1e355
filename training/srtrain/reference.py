"""Run a plan in plain NumPy: slow, obvious, and independent of every framework."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from srtrain import plan as p


def _convolve(x: NDArray[np.float64], conv: p.Conv) -> NDArray[np.float64]:
    out, width, size, _ = conv.weight.shape
    pad = size // 2
    padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(1, 2))
    columns = windows.transpose(0, 3, 4, 1, 2).reshape(width * size * size, -1)
    flat = conv.weight.reshape(out, -1).astype(np.float64) @ columns
    return flat.reshape(out, *x.shape[1:]) + conv.bias[:, None, None]


def _depth_to_space(x: NDArray[np.float64], block: int) -> NDArray[np.float64]:
    depth, height, width = x.shape
    split = x.reshape(block, block, depth // (block * block), height, width)
    moved = split.transpose(2, 3, 0, 4, 1)
    return moved.reshape(depth // (block * block), height * block, width * block)


def run_plan(plan: p.Plan, picture: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the output ``(C, H * scale, W * scale)`` for an input ``(C, H, W)`` in float64."""
    tensors = {p.INPUT: picture.astype(np.float64)}
    for operation in plan.operations:
        x = tensors[operation.source]
        match operation:
            case p.Conv():
                y = _convolve(x, operation)
            case p.PRelu():
                y = np.where(x > 0, x, x * operation.slope[:, None, None])
            case p.Pointwise():
                y = np.tanh(x) if operation.function == "tanh" else np.maximum(x, 0.0)
            case p.Add():
                y = x + tensors[operation.other]
            case p.DepthToSpace():
                y = _depth_to_space(x, operation.block)
        tensors[operation.name] = y
    return tensors[plan.output]

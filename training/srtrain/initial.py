"""Initial weights that already interpolate, so that training starts above bicubic."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from srtrain.resize import keys_cubic


def interpolation_kernel(scale: int, size: int) -> NDArray[np.float32]:
    """Return ``(scale**2, size, size)``: one bicubic kernel, cut to ``size``, per sub-pixel."""
    phase = (np.arange(scale) + 0.5) / scale - 0.5
    tap = np.arange(size) - size // 2
    line = keys_cubic(tap[None, :] - phase[:, None])
    line /= line.sum(axis=1, keepdims=True)
    kernel = line[:, None, :, None] * line[None, :, None, :]
    return kernel.reshape(scale * scale, size, size).astype(np.float32)


def delta(size: int) -> NDArray[np.float32]:
    """Return a ``size x size`` kernel that copies its input."""
    kernel = np.zeros((size, size), np.float32)
    kernel[size // 2, size // 2] = 1.0
    return kernel

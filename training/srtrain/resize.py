"""Antialiased bicubic resampling, the degradation that super-resolution papers assume.

Same arithmetic as MATLAB's ``imresize(..., 'bicubic')``: Keys' cubic kernel with a = -0.5
(R. Keys, "Cubic convolution interpolation for digital image processing", 1981), stretched by
1/scale when shrinking, mirrored borders, and 8-bit rounding after each of the two passes.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

KERNEL_SUPPORT = 4.0


def keys_cubic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Evaluate Keys' cubic convolution kernel (a = -0.5) element by element."""
    d = np.abs(x)
    near = (1.5 * d - 2.5) * d * d + 1.0
    far = ((-0.5 * d + 2.5) * d - 4.0) * d + 2.0
    return np.where(d <= 1.0, near, np.where(d <= 2.0, far, 0.0))


def taps(
    length: int, out_length: int, scale: float
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return source positions and weights, both ``(out_length, taps)``, of one resampling pass."""
    stretch = min(scale, 1.0)
    support = KERNEL_SUPPORT / stretch
    centre = (np.arange(out_length) + 0.5) / scale - 0.5
    first = np.floor(centre - support / 2.0)
    position = first[:, None] + np.arange(math.ceil(support) + 2)
    weight = keys_cubic(stretch * (centre[:, None] - position))
    weight /= weight.sum(axis=1, keepdims=True)
    folded = np.mod(position.astype(np.intp), 2 * length)
    return np.minimum(folded, 2 * length - 1 - folded), weight


def _resample_rows(
    picture: NDArray[np.float64], out_length: int, scale: float
) -> NDArray[np.float64]:
    index, weight = taps(picture.shape[0], out_length, scale)
    trailing = (1,) * (picture.ndim - 1)
    out = np.zeros((out_length, *picture.shape[1:]))
    for k in np.flatnonzero(np.any(weight != 0.0, axis=0)):
        out += weight[:, k].reshape(-1, *trailing) * picture[index[:, k]]
    return out


def resize_bicubic(picture: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    """Resample an 8-bit ``HxW`` or ``HxWxC`` picture by ``scale``.

    The result has ``ceil(H * scale) x ceil(W * scale)`` pixels; values are rounded half up and
    clipped to 0..255 after the vertical and again after the horizontal pass.
    """
    work = picture.astype(np.float64)
    for axis in (0, 1):
        out_length = math.ceil(picture.shape[axis] * scale - 1e-9)
        swapped = np.ascontiguousarray(work.swapaxes(0, axis))
        swapped = _resample_rows(swapped, out_length, scale)
        work = np.clip(np.floor(swapped + 0.5), 0.0, 255.0).swapaxes(0, axis)
    return work.astype(np.uint8)


def crop_to_multiple(picture: NDArray[np.uint8], multiple: int) -> NDArray[np.uint8]:
    """Drop the last rows and columns so that both sides divide by ``multiple``."""
    height, width = picture.shape[:2]
    return picture[: height - height % multiple, : width - width % multiple]

"""Luma, in the two senses that matter here.

Networks see full-range luma as ``cv2.dnn_superres`` computes it (``cvtColor`` BGR to YCrCb on
floats, ITU-R BT.601 weights); scores are taken on the studio-range luma of MATLAB's ``rgb2ycbcr``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FULL_RANGE_BGR = (0.114, 0.587, 0.299)
STUDIO_BGR = (24.966 / 255.0, 128.553 / 255.0, 65.481 / 255.0)
STUDIO_OFFSET = 16.0
EDSR_MEAN_BGR = (103.1545782, 111.561547, 114.35629928)
"""Mean of DIV2K, which ``dnn_superres`` subtracts before EDSR and adds after it."""
EDSR_RANGE = 127.5
"""EDSR is trained on BGR minus mean divided by this; the division is folded away at export."""
STUDIO_GAIN = 219.0 / 255.0
"""How much smaller a studio-range luma difference is than the same full-range difference."""


def full_range_luma(bgr: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return luma in [0, 1] of an 8-bit BGR picture, shape ``HxW``."""
    weights = np.asarray(FULL_RANGE_BGR, np.float32) / np.float32(255.0)
    return (bgr.astype(np.float32) @ weights).astype(np.float32)


def studio_luma(bgr: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return luma in 16..235, rounded to whole numbers, of an 8-bit BGR picture."""
    luma: NDArray[np.float64] = STUDIO_OFFSET + bgr.astype(np.float64) @ np.asarray(STUDIO_BGR)
    return np.floor(luma + 0.5).astype(np.float64)

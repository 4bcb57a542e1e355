"""How well a network enlarges: a picture of known detail, reduced, enlarged, and compared with what it was.

That tells right facts about a network from wrong ones (range, colour order, mean), for which the smoke test is too
coarse: a small network fed wrongly still gives a plausible picture, only a worse one than it could.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from srwatchd.engine.base import Samples

__all__ = ["interpolated", "leaves", "psnr", "reduced"]

_CV: Final[Any] = cv2
_LEAVES: Final = 500
_LEAST_RADIUS: Final = 4.0
_WARM: Final = (1.0, 0.1, -1.0)
_GREEN: Final = (-0.5, 1.0, -0.5)
_FINER: Final = 2
_CUBIC: Final = -0.5
_SUPPORT: Final = 2.0
_PEAK: Final = 255.0


def leaves(edge: int, *, seed: int = 1) -> Samples:
    """A picture of ``edge`` x ``edge`` pixels, RGB of 8 bit, with the statistics of natural ones: dead leaves.

    Discs of many sizes (radii by a power law) and of related colours lie on one another, as in A. B. Lee, D. Mumford
    and J. Huang, "Occlusion models for natural images", 2001.
    """
    rng = np.random.default_rng(seed)
    size = edge * _FINER
    canvas = np.full((size, size, 3), 128, np.uint8)
    radii = _LEAST_RADIUS / np.sqrt(1.0 - rng.random(_LEAVES) * (1.0 - (4.0 * _LEAST_RADIUS / size) ** 2))
    base = rng.normal(128, 55, _LEAVES)
    tints = np.outer(rng.normal(8, 35, _LEAVES), _WARM) + np.outer(rng.normal(0, 12, _LEAVES), _GREEN)
    ordered = sorted(radii * _FINER, reverse=True)
    for radius, value, place, tint in zip(ordered, base, rng.random((_LEAVES, 2)), tints, strict=True):
        colour = tuple(float(each) for each in np.clip(value + tint, 0, 255))
        centre = tuple(int(each) for each in place * size)
        if rng.random() < 0.5:  # noqa: PLR2004 - half of them have corners
            _CV.circle(canvas, centre, max(1, round(radius)), colour, -1, _CV.LINE_AA)
        else:
            box = _CV.boxPoints((centre, (2 * radius, radius), float(rng.uniform(0, 180))))
            _CV.fillPoly(canvas, [np.rint(box).astype(np.int32)], colour, _CV.LINE_AA)
    return np.asarray(_CV.resize(canvas, (edge, edge), interpolation=_CV.INTER_AREA))


def reduced(picture: Samples, scale: int) -> Samples:
    """``picture`` at 1/``scale`` of its size: bicubic with antialiasing, as the training pictures of such networks."""
    rows = _weights(picture.shape[0], scale)
    columns = _weights(picture.shape[1], scale)
    # Not by matrix products: their library reserves memory on its own, which a worker may not have left.
    small = np.einsum("iwc,jw->ijc", np.einsum("ih,hwc->iwc", rows, picture.astype(np.float64)), columns)
    rounded: Samples = np.rint(small).clip(0, _PEAK).astype(np.uint8)
    return rounded


def interpolated(picture: Samples, scale: int) -> Samples:
    """``picture`` enlarged by plain bicubic interpolation."""
    height, width, _ = picture.shape
    return np.asarray(_CV.resize(picture, (width * scale, height * scale), interpolation=_CV.INTER_CUBIC))


def psnr(one: Samples, other: Samples, *, border: int) -> float:
    """Decibels between two pictures of 8 bit without the outermost ``border`` pixels; 100 when they are equal."""
    inside = (slice(border, one.shape[0] - border), slice(border, one.shape[1] - border))
    difference = one[inside].astype(np.float64) - other[inside]
    error = float(np.mean(difference * difference))
    return 100.0 if error == 0 else min(100.0, 10.0 * math.log10(_PEAK * _PEAK / error))


def _weights(length: int, scale: int) -> NDArray[np.float64]:
    """The matrix that reduces ``length`` samples: Keys' cubic kernel (a = -0.5) widened by ``scale``, edges folded."""
    small = length // scale
    reach = math.ceil(_SUPPORT * scale)
    centres = (np.arange(small) + 0.5) * scale - 0.5
    taps = np.floor(centres)[:, np.newaxis] + np.arange(-reach, reach + 2)
    values = _cubic(np.abs(taps - centres[:, np.newaxis]) / scale)
    values /= values.sum(axis=1, keepdims=True)
    period = 2 * length
    folded = np.mod(taps, period).astype(np.int64)
    folded = np.minimum(folded, period - 1 - folded)
    matrix = np.zeros((small, length))
    np.add.at(matrix, (np.arange(small)[:, np.newaxis], folded), values)
    return matrix


def _cubic(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """R. G. Keys, "Cubic convolution interpolation for digital image processing", 1981."""
    near = (_CUBIC + 2) * distance**3 - (_CUBIC + 3) * distance**2 + 1
    far = _CUBIC * (distance**3 - 5 * distance**2 + 8 * distance - 4)
    values: NDArray[np.float64] = np.where(distance <= 1, near, np.where(distance < _SUPPORT, far, 0.0))
    return values

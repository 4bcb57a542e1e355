"""What cameras and web sites do to a picture before anybody enlarges it: blur, noise, JPEG.

Everything acts on the 8-bit picture in its colours; JPEG halves the chroma, as files of photographs
nearly always have it (4:2:0).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

PROFILES = ("clean", "photo")
QUALITIES = (60, 95)
LARGEST_BLUR = 0.6
"""Deviation of the Gaussian, in low-resolution pixels."""
LARGEST_NOISE = 3.0
"""Deviation of the noise of each colour, in 8-bit levels."""
BLURRED, NOISY, COMPRESSED = 0.4, 0.5, 0.9
"""The share of pictures that get each damage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """How one picture is damaged; nothing happens where a field is zero."""

    blur: float = 0.0
    noise: float = 0.0
    quality: int = 0


def random_damage(random: np.random.Generator) -> Damage:
    """Draw a damage of the photo profile."""
    blurred, noisy, compressed = random.random(3) < (BLURRED, NOISY, COMPRESSED)
    return Damage(
        blur=float(random.uniform(0.0, LARGEST_BLUR)) * bool(blurred),
        noise=float(random.uniform(0.0, LARGEST_NOISE)) * bool(noisy),
        quality=int(random.integers(QUALITIES[0], QUALITIES[1] + 1)) * bool(compressed),
    )


def compress(picture: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """Return an 8-bit BGR picture after a way through JPEG of that quality, 4:2:0."""
    sampling = int(cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420)
    options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling]
    _, file = cv2.imencode(".jpg", picture, options)
    decoded = cv2.imdecode(file, cv2.IMREAD_COLOR)
    assert decoded is not None
    return decoded.astype(np.uint8, copy=False)


def damaged(
    picture: NDArray[np.uint8], damage: Damage, random: np.random.Generator
) -> NDArray[np.uint8]:
    """Return the picture blurred, then noisy, then compressed; ``random`` draws the noise."""
    work = picture
    if damage.blur > 0.0:
        work = cv2.GaussianBlur(work, (0, 0), damage.blur).astype(np.uint8, copy=False)
    if damage.noise > 0.0:
        noise = random.normal(0.0, damage.noise, work.shape)
        work = np.clip(np.round(work + noise), 0, 255).astype(np.uint8)
    return compress(work, damage.quality) if damage.quality else work

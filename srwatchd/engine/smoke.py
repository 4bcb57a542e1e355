"""A known picture through a network: tells a working model from a broken one, and how fast it is.

``cv2.dnn_superres`` believes what it is told: a wrong architecture or scale may run silently. So every network is
looked at before it sees a picture of a user.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from srwatchd.engine.picture import upscale_raster
from srwatchd.errors import ModelError
from srwatchd.tiling import BORDER

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from srwatchd.engine.base import Network, Samples

__all__ = ["TOLERANCE", "Smoke", "known_picture", "smoke_test"]

TOLERANCE: Final = 3.0
"""Mean difference in levels of 255 that a working model may have between the known picture and its reduced result.

Measured: 0.9 to 1.7 for the public models and the shipped FSRCNN, in f32 and bf16, 2.3 for a residual network trained
too briefly to beat bicubic interpolation; 3.1 for that one without its mean, 66 with a wrong input range. An FSRCNN
with a wrong input range is not noticed (2.1): its result is plausible.
"""

_EDGE: Final = 32
_CORNER: Final = 8
_DEPTH_TOLERANCE: Final = 1.5
"""The largest mean difference, in 8-bit levels, between the results at 16 and at 8 bit.

Measured with every shipped model: 0.24 to 0.26 where both depths take one path, 0.42 to 0.45 for FSRCNN and ESPCN on
the opencv engine, whose own class does the 8 bit. A 16-bit range taken for another one differs by far more than ten.
"""
_LEAST_SPREAD: Final = 20.0
_TIMED_EDGE: Final = 256
"""Smaller tiles flatter the opencv engine: with EDSR it takes 2.4 s a megapixel in tiles of 128, 7.4 in tiles of 384,
openvino 2.8 in both."""
_PATIENCE: Final = 5.0
_LONG: Final = 0.25
"""Seconds of a run in which what the first run of a shape adds does not count."""
_HOPELESS: Final = 1.5
"""Times as long as the fastest network: more than what the first run of a shape adds."""


@dataclass(frozen=True, slots=True)
class Smoke:
    """What the test saw: the mean difference in levels, and seconds per megapixel of input, halo included."""

    difference: float
    seconds_per_megapixel: float


def smoke_test(
    network: Network,
    *,
    fastest: float = math.inf,
    timed: bool = True,
    clock: Callable[[], float] = time.perf_counter,
) -> Smoke:
    """Upscale a known picture, twice. LapSRN x8 takes several seconds, the others about one.

    Passes when the result has the right size, is the same both times, is not constant, and reduced by averaging
    to the input's size differs by at most :data:`TOLERANCE` levels on average, and when a corner of it comes out the
    same at 16 bit, for which an engine may take another path. Raises
    ``ModelError("model_unusable")`` otherwise. Where another network takes ``fastest`` seconds per megapixel and this
    one far longer, its speed is known well enough at once. Without ``timed`` the speed is that on the known picture,
    which is small and takes longer for each pixel than a tile.
    """
    picture = known_picture()
    first = _upscaled(network, picture)
    started = clock()
    second = _upscaled(network, picture)
    seconds = clock() - started
    name = f"{network.spec.name} on the {network.engine} engine"
    if not np.array_equal(first, second):
        raise ModelError("model_unusable", f"{name} is not deterministic")
    if float(first.std()) < _LEAST_SPREAD:
        raise ModelError("model_unusable", f"{name} gives an almost uniform picture")
    difference = _difference(_reduced(first, network.spec.scale), picture)
    if not difference <= TOLERANCE:
        raise ModelError(
            "model_unusable", f"{name} differs by {difference:.1f} levels from its input, at most {TOLERANCE} are right"
        )
    corner = picture[:_CORNER, :_CORNER]
    deep = _upscaled(network, corner.astype(np.uint16) * 257)
    if not _difference(deep / 257, _upscaled(network, corner)) <= _DEPTH_TOLERANCE:
        raise ModelError("model_unusable", f"{name} gives another picture at 16 bit than at 8 bit")
    edge = _EDGE + 2 * min(network.spec.receptive_radius, BORDER)
    seconds_per_pixel = seconds / (edge * edge)
    if timed:
        seconds_per_pixel = _steady(network, seconds_per_pixel, fastest / 1e6, clock)
    return Smoke(difference, seconds_per_pixel * 1e6)


def known_picture() -> Samples:
    """32 x 32 RGB: a ramp in each channel, a frame, coloured blocks and a bar, all a little soft."""
    ramp = np.linspace(16, 239, _EDGE)
    picture = np.empty((_EDGE, _EDGE, 3), np.float64)
    picture[:, :, 0] = ramp[np.newaxis, :]
    picture[:, :, 1] = ramp[:, np.newaxis]
    picture[:, :, 2] = 255 - ramp[np.newaxis, :]
    picture[4:14, 4:14] = 240
    picture[7:11, 7:11] = 20
    picture[20:28, 4:9] = (220, 30, 30)
    picture[20:28, 12:17] = (30, 60, 200)
    picture[6:26, 22:25] = 10
    for _ in range(2):
        wide = np.pad(picture, ((1, 1), (1, 1), (0, 0)), mode="edge")
        wide = (wide[:-2] + 2 * wide[1:-1] + wide[2:]) / 4
        picture = (wide[:, :-2] + 2 * wide[:, 1:-1] + wide[:, 2:]) / 4
    return np.rint(picture).astype(np.uint8)


def _upscaled(network: Network, picture: Samples) -> Samples:
    scale, halo = network.spec.scale, network.spec.receptive_radius
    result = np.zeros((picture.shape[0] * scale, picture.shape[1] * scale, picture.shape[2]), picture.dtype)
    upscale_raster(network, picture, result, tile=picture.shape[0] + 2 * halo, on_tile=_nothing)
    return result


def _difference(result: NDArray[np.float64], picture: NDArray[Any]) -> float:
    """The mean of the absolute differences."""
    return float(np.abs(result - picture).mean())


def _nothing(_done: int, _total: int) -> None:
    return


def _reduced(result: Samples, scale: int) -> NDArray[np.float64]:
    """Each block of ``scale`` x ``scale`` pixels averaged."""
    height, width, channels = result.shape
    blocks = result.reshape(height // scale, scale, width // scale, scale, channels)
    mean: NDArray[np.float64] = blocks.mean(axis=(1, 3), dtype=np.float64)
    return mean


def _steady(network: Network, seconds_per_pixel: float, fastest: float, clock: Callable[[], float]) -> float:
    """Seconds per input pixel on a tile of usual size: the lesser of two runs.

    One run where they are long, or where the first is far longer than ``fastest`` allows; as given where even that
    would take too long.
    """
    pixels = _TIMED_EDGE * _TIMED_EDGE
    expected = seconds_per_pixel * pixels
    if expected > _PATIENCE:
        return seconds_per_pixel
    repeats = -(-_TIMED_EDGE // _EDGE)
    tile = np.tile(known_picture(), (repeats, repeats, 1))[:_TIMED_EDGE, :_TIMED_EDGE].copy()
    taken: list[float] = []
    while len(taken) < (1 if expected > _LONG else 2):
        started = clock()
        network.upscale(tile)
        taken.append((clock() - started) / pixels)
        if taken[0] > _HOPELESS * fastest:
            break
    return min(taken)

"""Between pixels and what a network sees: luma in [0, 1] for the luma models, BGR or RGB minus a mean for the others.

The formulas are those of ``cv2.dnn_superres``: full-range Y'CrCb of ITU-R BT.601 (JFIF). Two things are better here:
the result is rounded once, in RGB, not twice, and Cr and Cb are resized bicubically, not bilinearly. RGB PSNR of
FSRCNN x3 on half of Kodak: 26.904 dB by ``dnn_superres`` alone, 26.921 with bilinear, 26.948 with bicubic colour (up to
0.1 dB more on one picture).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np

from srwatchd.engine.base import plane_count

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from srwatchd.config.models import ModelSpec
    from srwatchd.engine.base import Samples

__all__ = ["Prepared", "finish", "prepare"]

_RGB: Final = 3
_STRIP: Final = 1 << 18
"""Pixels of the result that are made at a time: a few megabytes of floats. Twice as fast as the whole tile at once."""
_LEAST_ROWS: Final = 32
"""Of the input in a strip: its context is interpolated as well."""
_CONTEXT: Final = 2
"""Rows beyond a strip that bicubic interpolation takes."""
_CV: Final[Any] = cv2
"""Its stubs know neither shapes nor dtypes."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A tile made ready: ``blob`` is H x W x C of float32 as the network takes it.

    ``chroma`` holds Cr and Cb around 0.5, or nothing; ``grey`` says that one plane goes out.
    """

    blob: NDArray[np.float32]
    chroma: tuple[NDArray[np.float32], ...]
    grey: bool
    dtype: np.dtype[np.generic]


def prepare(tile: Samples, spec: ModelSpec) -> Prepared:
    """The network's input for ``tile``."""
    grey = plane_count(tile) == 1
    white = float(np.iinfo(tile.dtype).max)
    if spec.input_colour != "y":
        return Prepared(_less_mean(tile, spec, grey=grey), (), grey, tile.dtype)
    scaled = np.multiply(tile, np.float32(1.0 / white), dtype=np.float32)
    if grey:
        return Prepared(_ranged(scaled, spec), (), grey, tile.dtype)
    luma, red, blue = _CV.split(_CV.cvtColor(scaled, _CV.COLOR_RGB2YCrCb))
    return Prepared(_ranged(luma[:, :, np.newaxis], spec), (red, blue), grey, tile.dtype)


def finish(planes: NDArray[np.float32], prepared: Prepared, spec: ModelSpec) -> Samples:
    """The upscaled tile from the network's output, C x H x W; ``planes`` is not written to.

    It is made strip by strip: what lies between the planes and the pixels stays in the processor's cache.
    """
    height, width = planes.shape[1:]
    result: Samples = np.empty((height, width, 1 if prepared.grey else _RGB), prepared.dtype)
    taken = max(_LEAST_ROWS, _STRIP // (width * spec.scale))
    for first in range(0, height // spec.scale, taken):
        rows = slice(first * spec.scale, (first + taken) * spec.scale)
        part = planes[:, rows]
        if spec.input_colour == "y":
            unit = _with_chroma(part[0], prepared, spec, first)
        else:
            unit = _with_mean(part, spec, grey=prepared.grey)
        _round(unit, result[rows])
    return result


def _with_chroma(luma: NDArray[np.float32], prepared: Prepared, spec: ModelSpec, first: int) -> NDArray[np.float32]:
    """RGB (or luma, for grey) of about [0, 1] from rows of luma that begin with those of the input's row ``first``."""
    low, high = spec.input_range
    unit = luma if (low, high) == (0.0, 1.0) else (luma - low) / (high - low)
    unit = np.clip(unit, 0.0, 1.0)
    if prepared.grey:
        return unit[:, :, np.newaxis]
    scale, (height, width) = spec.scale, luma.shape
    start = max(0, first - _CONTEXT)
    stop = first + height // scale + _CONTEXT
    kept = slice((first - start) * scale, (first - start) * scale + height)
    chroma = []
    for plane in prepared.chroma:
        rows = plane[start:stop]
        chroma.append(_CV.resize(rows, (width, rows.shape[0] * scale), interpolation=_CV.INTER_CUBIC)[kept])
    merged: NDArray[np.float32] = _CV.merge([unit, *chroma])
    _CV.cvtColor(merged, _CV.COLOR_YCrCb2RGB, dst=merged)
    return merged


def _ranged(unit: NDArray[np.float32], spec: ModelSpec) -> NDArray[np.float32]:
    """Values of [0, 1] in the range that the network was trained on."""
    low, high = spec.input_range
    return unit if (low, high) == (0.0, 1.0) else unit * np.float32(high - low) + np.float32(low)


def _less_mean(tile: Samples, spec: ModelSpec, *, grey: bool) -> NDArray[np.float32]:
    """Three planes in the network's order and range minus its mean."""
    low, high = spec.input_range
    factor = np.float32((high - low) / float(np.iinfo(tile.dtype).max))
    ordered = np.repeat(tile, _RGB, axis=2) if grey else tile[:, :, ::-1] if spec.input_colour == "bgr" else tile
    blob: NDArray[np.float32] = np.multiply(ordered, factor, dtype=np.float32, order="C")
    blob -= np.asarray(spec.mean, np.float32) - np.float32(low)
    return blob


def _with_mean(planes: NDArray[np.float32], spec: ModelSpec, *, grey: bool) -> NDArray[np.float32]:
    """RGB (or their mean, for grey) of about [0, 1] from three planes less the mean."""
    low, high = spec.input_range
    colours = [plane + np.float32(mean - low) for plane, mean in zip(planes, spec.mean or (0.0,) * _RGB, strict=True)]
    red, green, blue = colours[::-1] if spec.input_colour == "bgr" else colours
    merged: NDArray[np.float32]
    merged = ((blue + green + red) / np.float32(_RGB))[:, :, np.newaxis] if grey else _CV.merge([red, green, blue])
    merged *= np.float32(1.0 / (high - low))
    return merged


def _round(unit: NDArray[np.float32], target: Samples) -> None:
    """Fill ``target`` with values of about [0, 1] as full-range integers, half to even, saturated; uses ``unit`` up."""
    np.maximum(unit, 0.0, out=unit)
    if target.dtype == np.uint8:
        _CV.convertScaleAbs(unit, dst=target, alpha=255.0)
    else:
        _CV.multiply(unit, (65535.0,) * 4, dst=target, dtype=_CV.CV_16U)

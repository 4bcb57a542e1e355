"""What a picture will take, foretold from its header: memory of its codecs, and disk for its rasters. Pure.

The figures are upper bounds of what docs/large-pictures.md reports: growth of the private memory (reserved, not only
touched) of a codec worker with one libvips thread. What streams grows with the length of a row, the rest with the area.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from srwatchd.codec.formats import FORMATS, stored_channels, stored_depth
from srwatchd.errors import HostError, PermanentError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Step", "check_memory", "check_scratch", "decoding", "encoding", "raster_bytes", "verifying"]

_MIB: Final = 1 << 20
_STREAMED: Final = 16 * _MIB
_ROWS: Final = 640
"""Rows of the picture that a streaming codec, its line caches and our strips hold."""
_RESIZED_ROWS: Final = 256
"""Rows of the raster besides, while it is resampled."""
_COMPARED: Final = 96
"""Bytes for the sums of :mod:`srwatchd.codec.reduce`, per sample of a row."""
_ENCODED_WHOLE: Final = {"webp": 8.0, "avif": 10.0, "gif": 5.5}
_DECODED_WHOLE: Final = {"webp": 5.5, "avif": 6.0, "gif": 3.5}
"""Bytes per byte of pixels, of the codecs that hold the whole picture."""


@dataclass(frozen=True, slots=True)
class Step:
    """One codec operation: what it is called in messages, and the bytes of memory that it takes."""

    name: str
    memory: int


def decoding(info: dict[str, Any]) -> Step:
    """Decoding the source of which ``info`` (``PictureInfo.to_dict``) tells."""
    source = FORMATS[str(info["format"])].title
    return Step(
        f"Decoding {info['width']} x {info['height']} pixels of this kind of {source}", int(info["decode_bytes"])
    )


def encoding(info: dict[str, Any], raster: tuple[int, int], *, form: str, size: tuple[int, int]) -> Step:
    """Encoding a result raster of ``raster`` (width, height) in format ``form``, resampled to ``size`` if that differs.

    ``info`` tells the raster's channels and depth.
    """
    resampled = _RESIZED_ROWS * _row(info, raster[0]) if raster != size else 0
    memory = _codec(info, form, size, whole=_ENCODED_WHOLE) + resampled
    return Step(f"Encoding {size[0]} x {size[1]} pixels as {FORMATS[form].title}", memory)


def verifying(info: dict[str, Any], *, form: str, size: tuple[int, int]) -> Step:
    """Reading a result back and comparing it with its source's raster."""
    sums = _COMPARED * (int(info["width"]) + size[0]) * int(info["channels"])
    memory = _codec(info, form, size, whole=_DECODED_WHOLE) + sums
    return Step(f"Reading {size[0]} x {size[1]} pixels of {FORMATS[form].title} back", memory)


def raster_bytes(info: dict[str, Any], scale: int = 1) -> int:
    """The scratch file of the picture's raster, or of the result raster ``scale`` times as wide and high."""
    return _row(info, int(info["width"]) * scale) * int(info["height"]) * scale


def check_memory(steps: Iterable[Step], available: int) -> None:
    """Refuse what ``available`` bytes cannot do even alone: PermanentError ``too_large_for_memory``, with figures."""
    step = max(steps, key=lambda each: each.memory)
    if step.memory > available:
        needed, allowed = -(-step.memory // _MIB), available // _MIB
        raise PermanentError(
            "too_large_for_memory", f"{step.name} takes {needed} MiB; memory_limit leaves {allowed} MiB."
        )


def check_scratch(needed: int, free: int, *, place: str) -> None:
    """Hold the folder while rasters of ``needed`` bytes do not fit: HostError ``disk_full``, with figures."""
    if needed > free:
        text = f"the picture's rasters need {needed >> 20} MiB in {place!r}, where {free >> 20} MiB are free"
        raise HostError("disk_full", text, path=place)


def _row(info: dict[str, Any], width: int) -> int:
    return width * int(info["channels"]) * int(info["depth"]) // 8


def _codec(info: dict[str, Any], form: str, size: tuple[int, int], *, whole: dict[str, float]) -> int:
    channels, depth = stored_channels(form, int(info["channels"])), stored_depth(form, int(info["depth"]))
    row = size[0] * channels * depth // 8
    return _STREAMED + (int(whole[form] * row * size[1]) if form in whole else _ROWS * row)

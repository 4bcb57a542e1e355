"""What a picture will take, foretold from its header: memory of its codecs, and disk for its rasters. Pure.

The figures are upper bounds of what docs/large-pictures.md reports: growth of the private memory (reserved, not only
touched) of a codec worker with one libvips thread. What streams grows with the length of a row, the rest with the area.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from srwatchd.codec.formats import FORMATS, stored_channels, stored_depth
from srwatchd.codec.picture import pages_of, total_bytes
from srwatchd.errors import HostError, PermanentError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from srwatchd.pipeline.result import Form

__all__ = [
    "Step",
    "check_memory",
    "check_scratch",
    "decoding",
    "encoding",
    "raster_bytes",
    "resampled_bytes",
    "verifying",
    "writing",
]

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
"""Bytes per byte of pixels, of the codecs that hold the whole picture; of an animation, its frame."""
_ENCODED_FRAMES: Final = {"webp": 1.0, "gif": 0.1}
_DECODED_FRAMES: Final = {"webp": 1.35, "gif": 0.4}
"""The same of all its frames: what is compressed waits for the last one, and libvips decodes a WebP whole."""
_FRAMES_HELD: Final = 2
"""Frames that an animation's encoder compares."""


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


def encoding(
    info: dict[str, Any], raster: tuple[int, int], *, form: str, size: tuple[int, int], frames: int = 1
) -> Step:
    """Encoding a result raster of ``raster`` (width, height) in format ``form``, resampled to ``size`` if that differs.

    ``info`` tells the raster's channels and depth; of an animation it is one of ``frames`` frames.
    """
    resampled = _RESIZED_ROWS * _row(info, raster[0]) if raster != size else 0
    memory = _codec(info, form, size, whole=_ENCODED_WHOLE) * (_FRAMES_HELD if frames > 1 else 1) + resampled
    memory += _animated(info, form, size, part=_ENCODED_FRAMES, frames=frames)
    return Step(f"Encoding {_named(size, frames)} as {FORMATS[form].title}", memory)


def verifying(info: dict[str, Any], *, form: str, size: tuple[int, int], frames: int = 1) -> Step:
    """Reading a result back and comparing it with its source's raster."""
    sums = _COMPARED * (int(info["width"]) + size[0]) * int(info["channels"])
    memory = _codec(info, form, size, whole=_DECODED_WHOLE) + sums
    memory += _animated(info, form, size, part=_DECODED_FRAMES, frames=frames)
    return Step(f"Reading {_named(size, frames)} of {FORMATS[form].title} back", memory)


def writing(info: dict[str, Any], form: Form) -> tuple[Step, Step]:
    """:func:`encoding` and :func:`verifying` of the page that takes the most."""
    frames = len(pages_of(info)) if FORMATS[form.format].several == "frames" else 1
    made, read = [], []
    for page, size in form.sizes.items():
        facts, raster = asdict(page), page.enlarged(form.scale)
        made.append(encoding(facts, (raster.width, raster.height), form=form.format, size=size, frames=frames))
        read.append(verifying(facts, form=form.format, size=size, frames=frames))
    return max(made, key=_memory), max(read, key=_memory)


def raster_bytes(info: dict[str, Any], scale: int = 1) -> int:
    """The scratch file of the picture's raster, or of the result raster ``scale`` times as wide and high."""
    return total_bytes([page.enlarged(scale) for page in pages_of(info)])


def resampled_bytes(info: dict[str, Any], form: Form) -> int:
    """What the scratch file of a result raster grows by when the frames of an animation are not kept as they are."""
    pages = pages_of(info)
    size, raster = form.sizes[pages[0]], pages[0].enlarged(form.scale)
    if len(pages) == 1 or FORMATS[form.format].several != "frames" or size == (raster.width, raster.height):
        return 0
    return _row(asdict(raster), size[0]) * size[1] * len(pages)


def check_memory(steps: Iterable[Step], available: int) -> None:
    """Refuse what ``available`` bytes cannot do even alone: PermanentError ``too_large_for_memory``, with figures."""
    step = max(steps, key=_memory)
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


def _memory(step: Step) -> int:
    return step.memory


def _named(size: tuple[int, int], frames: int) -> str:
    return f"{size[0]} x {size[1]} pixels" + (f" of {frames} frames" if frames > 1 else "")


def _animated(info: dict[str, Any], form: str, size: tuple[int, int], *, part: dict[str, float], frames: int) -> int:
    channels = stored_channels(form, int(info["channels"]))
    return int(part.get(form, 0.0) * size[0] * size[1] * channels * frames) if frames > 1 else 0


def _row(info: dict[str, Any], width: int) -> int:
    return width * int(info["channels"]) * int(info["depth"]) // 8


def _codec(info: dict[str, Any], form: str, size: tuple[int, int], *, whole: dict[str, float]) -> int:
    channels, depth = stored_channels(form, int(info["channels"])), stored_depth(form, int(info["depth"]))
    row = size[0] * channels * depth // 8
    return _STREAMED + (int(whole[form] * row * size[1]) if form in whole else _ROWS * row)

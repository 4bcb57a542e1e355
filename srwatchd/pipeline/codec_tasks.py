"""The operations of a codec worker. Imported in worker processes only."""

from __future__ import annotations

import contextlib
import resource
import time
from typing import TYPE_CHECKING, Any, Final

from srwatchd.codec.decode import decode as decode_picture
from srwatchd.codec.decode import inspect as inspect_picture
from srwatchd.codec.encode import EncodeOptions
from srwatchd.codec.encode import encode as encode_picture
from srwatchd.codec.picture import PictureInfo
from srwatchd.codec.render import View
from srwatchd.codec.render import render as render_view
from srwatchd.codec.verify import verify as verify_picture
from srwatchd.codec.vips import pyvips
from srwatchd.engine.memory import private, reserved, trim
from srwatchd.pipeline.atrest import CODEC_IDLE
from srwatchd.storage import WriteBehind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Progress = Callable[[dict[str, Any]], None]

__all__ = ["TASKS", "decode", "encode", "inspect", "prepare", "render", "verify"]

_MARGIN: Final = 96 << 20
_MARGIN_PART: Final = 4
_PAUSE: Final = 0.1
"""Seconds between two signs of progress."""


def prepare() -> None:
    """Load the codecs before the first picture, while everything may still be loaded."""
    pyvips()


def inspect(params: dict[str, Any], descriptors: list[int], _progress: Progress) -> dict[str, Any]:
    """What the header of the source (the only descriptor) says."""
    with _memory(params):
        return inspect_picture(descriptors[0], max_pixels=int(params["max_pixels"])).to_dict()


def decode(params: dict[str, Any], descriptors: list[int], progress: Progress) -> dict[str, Any]:
    """Decode the source (first descriptor) into a raster (second) and what it carries (third)."""
    source, raster, carry = descriptors
    with _memory(params):
        info = decode_picture(
            source,
            raster,
            carry,
            max_pixels=int(params["max_pixels"]),
            max_decode_bytes=int(params["memory"]),
            icc=str(params["icc"]),
            write_behind=int(params["write_behind"]),
            on_progress=lambda done, total: progress({"done": done, "total": total}),
        )
    return info.to_dict()


def encode(params: dict[str, Any], descriptors: list[int], progress: Progress) -> dict[str, Any]:
    """Encode the raster (first) with what it carries (second) into the staged file (third)."""
    raster, carry, staged = descriptors
    behind, before, told = WriteBehind(staged, int(params["write_behind"])), 0, float("-inf")

    def on_progress(written: int) -> None:
        """Tell of progress now and then, and let the disk keep up."""
        nonlocal before, told
        behind.wrote(max(0, written - before))
        before = written
        if (now := time.monotonic()) >= told + _PAUSE:  # libvips writes in pieces of 8 KiB
            told = now
            progress({"bytes": written})

    with _memory(params):
        encode_picture(
            raster,
            carry,
            staged,
            width=int(params["width"]),
            height=int(params["height"]),
            info=PictureInfo.from_dict(params["info"]),
            output=EncodeOptions.from_dict(params["output"]),
            on_progress=on_progress,
        )
    return {}


def verify(params: dict[str, Any], descriptors: list[int], _progress: Progress) -> dict[str, Any]:
    """Compare the staged file (first) with the source's raster (second) and what it carries (third)."""
    staged, raster, carry = descriptors
    with _memory(params):
        verify_picture(
            staged,
            raster,
            carry,
            info=PictureInfo.from_dict(params["info"]),
            width=int(params["width"]),
            height=int(params["height"]),
            output=EncodeOptions.from_dict(params["output"]),
        )
    return {}


def render(params: dict[str, Any], descriptors: list[int], progress: Progress) -> dict[str, Any]:
    """Show a region of the source (first descriptor) in the rendition (second)."""
    source, rendition = descriptors
    with _memory(params):
        made = render_view(
            source,
            rendition,
            View.from_dict(params["view"]),
            max_pixels=int(params["max_pixels"]),
            max_bytes=int(params["memory"]),
            on_progress=lambda done, total: progress({"done": done, "total": total}),
        )
    return made.to_dict()


@contextlib.contextmanager
def _memory(params: dict[str, Any]) -> Iterator[None]:
    """Let this process grow by ``params["memory"]`` bytes and a margin while an operation lasts.

    Then all is given back, but for the little that an idle worker may keep.

    The margin is for what libraries reserve and do not touch. An operation that still wants more, as of a file built to
    overwhelm its decoder, is refused by the kernel (RLIMIT_DATA).
    """
    memory = int(params["memory"])
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    soft = reserved() + memory + memory // _MARGIN_PART + _MARGIN
    if hard != resource.RLIM_INFINITY:
        soft = min(soft, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
    try:
        yield
    finally:
        if private() > CODEC_IDLE:
            trim()


TASKS: Final = {"decode": decode, "encode": encode, "inspect": inspect, "render": render, "verify": verify}

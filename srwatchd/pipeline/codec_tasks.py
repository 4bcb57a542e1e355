"""The operations of a codec worker. Imported in worker processes only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from srwatchd.codec.decode import decode as decode_picture
from srwatchd.codec.encode import EncodeOptions
from srwatchd.codec.encode import encode as encode_picture
from srwatchd.codec.picture import PictureInfo
from srwatchd.codec.verify import verify as verify_picture
from srwatchd.codec.vips import pyvips

if TYPE_CHECKING:
    from collections.abc import Callable

    Progress = Callable[[dict[str, Any]], None]

__all__ = ["TASKS", "decode", "encode", "prepare", "verify"]


def prepare() -> None:
    """Load the codecs before the first picture, while everything may still be loaded."""
    pyvips()


def decode(params: dict[str, Any], descriptors: list[int], progress: Progress) -> dict[str, Any]:
    """Decode the source (first descriptor) into a raster (second) and what it carries (third)."""
    source, raster, carry = descriptors
    info = decode_picture(
        source,
        raster,
        carry,
        max_pixels=int(params["max_pixels"]),
        max_decode_bytes=int(params["max_decode_bytes"]),
        icc=str(params["icc"]),
        on_progress=lambda done, total: progress({"done": done, "total": total}),
    )
    return info.to_dict()


def encode(params: dict[str, Any], descriptors: list[int], progress: Progress) -> dict[str, Any]:
    """Encode the raster (first) with what it carries (second) into the staged file (third)."""
    raster, carry, staged = descriptors
    encode_picture(
        raster,
        carry,
        staged,
        width=int(params["width"]),
        height=int(params["height"]),
        info=PictureInfo.from_dict(params["info"]),
        output=EncodeOptions.from_dict(params["output"]),
        on_progress=lambda written: progress({"bytes": written}),
    )
    return {}


def verify(params: dict[str, Any], descriptors: list[int], _progress: Progress) -> dict[str, Any]:
    """Compare the staged file (first) with the source's raster (second)."""
    staged, raster = descriptors
    verify_picture(
        staged,
        raster,
        info=PictureInfo.from_dict(params["info"]),
        width=int(params["width"]),
        height=int(params["height"]),
        output=EncodeOptions.from_dict(params["output"]),
    )
    return {}


TASKS: Final = {"decode": decode, "encode": encode, "verify": verify}

"""A walk over the chunks of a WebP (RFC 9649): is its end there, how large is it, how many frames."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from srwatchd.codec.raster import write_all
from srwatchd.codec.structure import MOST_FRAMES, MOST_PIECES, excessive, incomplete, need
from srwatchd.codec.tags import Tiff

if TYPE_CHECKING:
    from collections.abc import Iterator

    from srwatchd.codec.structure import Read

__all__ = ["WebpForm", "check_webp", "correct_exif"]

_ANIMATION: Final = 2
_FRAME_HEADER: Final = 16
_MARK: Final = b"Exif\0\0"
_EXIF: Final = 0x8769
_PIXELS_DOWN: Final = 0xA003
_NUMBERS: Final = {3: "H", 4: "I"}


@dataclass(frozen=True, slots=True)
class WebpForm:
    """The size of a WebP's canvas, how many frames are shown on it, and whether they are an animation's."""

    width: int
    height: int
    frames: int = 1
    animated: bool = False


def check_webp(read: Read, size: int) -> WebpForm:
    """The form of a WebP in a file of ``size`` bytes.

    Raises PermanentError ``incomplete`` unless it is as long as its header says and all of its frames are there,
    ``unsupported_content`` for more frames than anybody shows. Zeros in place of the last pixels are not noticed: a
    whole picture with a plain lower part ends in thousands of them, lossy or lossless (up to 31,502 measured).
    """
    header = need(read, 30, 0, "the WebP header is cut short")
    end = struct.unpack("<I", header[4:8])[0] + 8
    if end > size:
        raise incomplete("the WebP is shorter than its header says")
    match header[12:16]:
        case b"VP8X":
            width, height = 1 + int.from_bytes(header[24:27], "little"), 1 + int.from_bytes(header[27:30], "little")
            animated = bool(header[20] & _ANIMATION)
            frames = _frames(read, end, (width, height)) if animated else 1
            form = WebpForm(width, height, frames, animated=animated)
        case b"VP8L":
            bits = int.from_bytes(header[21:25], "little")
            form = WebpForm(1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF))
        case b"VP8 ":
            across, down = struct.unpack("<HH", header[26:30])
            form = WebpForm(across & 0x3FFF, down & 0x3FFF)
        case _:
            raise incomplete("the WebP holds no picture")
    return form


def _frames(read: Read, end: int, canvas: tuple[int, int]) -> int:
    """How many frames lie between the header and ``end``; each must be whole and on the canvas."""
    frames = 0
    for kind, begin, length in _chunks(read, 12, end):
        if begin + length > end:
            raise incomplete("the animated WebP ends inside a chunk")
        if kind != b"ANMF":
            continue
        frames += 1
        if frames > MOST_FRAMES:
            raise excessive(f"{MOST_FRAMES} frames")
        place = need(read, _FRAME_HEADER, begin, "a frame of the WebP is cut short")
        left, top, across, down = (int.from_bytes(place[at : at + 3], "little") for at in (0, 3, 6, 9))
        if 2 * left + across + 1 > canvas[0] or 2 * top + down + 1 > canvas[1]:
            raise incomplete(f"frame {frames} of the WebP lies outside of its canvas")
    if not frames:
        raise incomplete("the animated WebP holds no frame")
    return frames


def _chunks(read: Read, offset: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, offset and length of the content of each chunk that begins before ``end``."""
    for _ in range(MOST_PIECES):
        if offset + 8 > end:
            return
        kind, length = struct.unpack("<4sI", need(read, 8, offset, "a WebP chunk is cut short"))
        yield kind, offset + 8, length
        offset += 8 + length + length % 2
    raise excessive(f"{MOST_PIECES} chunks")


def correct_exif(descriptor: int, *, height: int) -> None:
    """Let the EXIF of an animated WebP tell a frame's height: libvips writes that of all frames together.

    A file without EXIF, or with one that makes no sense, is left as it is. OSError when writing fails.
    """

    def read(length: int, offset: int) -> bytes:
        """Up to ``length`` bytes from ``offset``; fewer only at the end of the file."""
        return os.pread(descriptor, length, offset)

    for kind, begin, length in _chunks(read, 12, os.fstat(descriptor).st_size):
        if kind == b"EXIF":
            mark = len(_MARK) if read(len(_MARK), begin) == _MARK else 0
            _correct(descriptor, begin + mark, length - mark, height)


def _correct(descriptor: int, at: int, size: int, height: int) -> None:
    """The same for the TIFF of ``size`` bytes at the offset ``at`` of the file."""
    try:
        tiff = Tiff(lambda length, offset: os.pread(descriptor, max(0, min(length, size - offset)), at + offset), size)
        records, _ = tiff.records(tiff.first)
        taken = next(tiff.field(record).first() for record in records if record.tag == _EXIF)
        entries, _ = tiff.records(taken)
    except (ValueError, StopIteration):
        return
    for number, entry in enumerate(entries):
        if entry.tag == _PIXELS_DOWN and entry.kind in _NUMBERS and entry.count == 1:
            value = struct.pack(f"{tiff.order}{_NUMBERS[entry.kind]}", height)
            write_all(descriptor, value, at + taken + 2 + 12 * number + 8)

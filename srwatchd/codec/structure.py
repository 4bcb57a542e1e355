"""Walks over the outer structure of a file: is its end there, is it one still picture, how much memory to decode.

Decoders stop at the last pixel and so accept a JPEG whose second half is zeros or a PNG without its end; these walks do
not. Pure: they read through a ``pread``-like callable ``read(length, offset) -> bytes``.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from srwatchd.codec.multipicture import MARK, views_of
from srwatchd.errors import PermanentError

__all__ = [
    "MOST_FRAMES",
    "MOST_PIECES",
    "Edit",
    "JpegForm",
    "Read",
    "bmp_dpi",
    "check_bmp",
    "check_gif",
    "check_jp2",
    "check_jpeg",
    "check_png",
    "excessive",
    "has_box",
    "incomplete",
    "need",
]

Read = Callable[[int, int], bytes]

_CHUNK: Final = 1 << 18
_JPEG_MARKER: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
_EOI, _SOS = 0xD9, 0xDA
_PROGRESSIVE: Final = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_SEQUENTIAL: Final = frozenset({0xC0, 0xC1, 0xC9})
_METADATA: Final = frozenset({*range(0xE0, 0xF0), 0xFE})
_ALONE: Final = frozenset({0x01, *range(0xD0, 0xD8)})
_APP0: Final = 0xE0
_APP2: Final = 0xE2
_WHOLE_SPECTRUM: Final = b"\x00\x3f\x00"
MOST_PIECES: Final = 2_000_000
"""Segments, chunks or blocks of a file that are looked at; a GIF of 500 MB has as many."""

_MOST_BOXES: Final = 1000
MOST_FRAMES: Final = 10_000
"""Frames of an animation: five minutes at 33 a second."""

_MOST_SCANS: Final = 500
"""Scans of a JPEG; encoders write about ten."""

_MOST_METADATA: Final = 64 << 20
"""Bytes of a JPEG's application and comment segments together; decoders keep them all in memory."""

_NO_END: Final = "the JPEG ends before its end-of-image marker"
_MOST_STRAY: Final = 4096
"""Fewer bytes than this between two JPEG segments are a writer's sloppiness; a block or more is a hole in the file."""


@dataclass(frozen=True, slots=True)
class Edit:
    """``length`` bytes of a file from ``offset`` on, read as ``replacement`` instead."""

    offset: int
    length: int
    replacement: bytes = b""


@dataclass(frozen=True, slots=True)
class JpegForm:
    """Whether a JPEG comes in several scans, what a strict decoder must read differently, and how many views it has.

    Cameras, phones and converters write such files; every viewer shows them. The edits, in the order of their offsets,
    drop stray bytes between segments, correct the spectral selection of a sequential scan (which decoders ignore) and
    the major version of JFIF. Picture data is never touched, so damage stays as visible as it was.
    """

    progressive: bool
    edits: tuple[Edit, ...] = ()
    views: int = 1


def incomplete(what: str) -> PermanentError:
    """The error for a file of which a part is missing or damaged: ``what`` completes "damaged: "."""
    return PermanentError("incomplete", f"The file is incomplete or damaged: {what}.")


def excessive(what: str) -> PermanentError:
    """The error for a file that has more than ``what``."""
    return PermanentError("unsupported_content", f"It has more than {what}: it is built to overwhelm a reader.")


def need(read: Read, length: int, offset: int, what: str) -> bytes:
    """Exactly ``length`` bytes from ``offset``; PermanentError ``incomplete`` (``what``) when the file ends before."""
    data = read(length, offset)
    if len(data) < length:
        raise incomplete(what)
    return data


def check_jpeg(read: Read) -> JpegForm:
    """The form of a JPEG; PermanentError ``incomplete`` unless a scan and the end-of-image marker are there.

    ITU-T T.81, annex B: marker segments carry their length, entropy-coded data follows each SOS up to the next marker
    that is neither stuffing nor a restart. What follows the end-of-image marker (thumbnails, videos, makers' trailers)
    is of no concern.
    """
    offset, frame, scans, metadata, views = 2, 0, 0, 0, 1
    edits: list[Edit] = []
    for _ in range(MOST_PIECES):
        start = _jpeg_segment(read, offset)
        if read(start - offset, offset).strip(b"\xff"):  # 0xff itself is legal filling
            edits.append(Edit(offset, start - offset))
        marker = need(read, 2, start, _NO_END)[1]
        if marker == _EOI:
            if not scans:
                raise incomplete("the JPEG holds no picture")
            return JpegForm(frame in _PROGRESSIVE or scans > 1, tuple(edits), views)
        if marker in _ALONE:
            offset = start + 2
            continue
        (length,) = struct.unpack(">H", need(read, 2, start + 2, "a JPEG segment is cut short"))
        offset = start + 2 + max(length, 2)
        frame = marker if marker in _PROGRESSIVE | _SEQUENTIAL else frame
        edits += _jpeg_oddities(read, marker, start, offset, frame)
        if marker in _METADATA:
            metadata += length
            views = max(views, _views(read, marker, start, length))
        elif marker == _SOS:
            scans += 1
            offset = _next_jpeg_marker(read, offset)
        if metadata > _MOST_METADATA:
            raise excessive(f"{_MOST_METADATA >> 20} MiB of metadata")
        if scans > _MOST_SCANS:
            raise excessive(f"{_MOST_SCANS} scans")
    raise excessive(f"{MOST_PIECES} segments")


def _views(read: Read, marker: int, start: int, length: int) -> int:
    """How many views the segment of ``length`` bytes lists, if it is an index of pictures."""
    if marker != _APP2 or read(len(MARK), start + 4) != MARK:
        return 1
    return views_of(read, start + 4 + len(MARK), length - 2 - len(MARK))


def _jpeg_segment(read: Read, offset: int) -> int:
    """Where the next marker begins; up to ``_MOST_STRAY`` bytes that belong to no segment are passed over."""
    data = need(read, 2, offset, _NO_END)
    if data[0] == 0xFF and data[1] not in (0x00, 0xFF):
        return offset
    found = re.search(rb"\xff[^\x00\xff]", read(_MOST_STRAY, offset), re.DOTALL)
    if found is None:
        raise incomplete("the JPEG's segments do not follow each other")
    return offset + found.start()


def _jpeg_oddities(read: Read, marker: int, start: int, end: int, frame: int) -> list[Edit]:
    """What a strict decoder would stumble over in one segment."""
    if marker == _SOS and frame in _SEQUENTIAL and end - start >= 5 and read(3, end - 3) != _WHOLE_SPECTRUM:
        return [Edit(end - 3, 3, _WHOLE_SPECTRUM)]
    if marker == _APP0 and read(5, start + 4) == b"JFIF\x00" and read(1, start + 9) != b"\x01":
        return [Edit(start + 9, 1, b"\x01")]
    return []


def _next_jpeg_marker(read: Read, offset: int) -> int:
    """The offset of the first real marker in entropy-coded data from ``offset`` on."""
    while data := read(_CHUNK, offset):
        found = _JPEG_MARKER.search(data)
        if found:
            return offset + found.start()
        offset += len(data) - 1 if len(data) > 1 else 1
    raise incomplete("the JPEG ends inside its picture data")


def check_png(read: Read) -> bool:
    """Whether a PNG is interlaced; ``incomplete`` unless its chunks reach IEND, ``unsupported_content`` if animated."""
    header = need(read, 29, 0, "the PNG header is cut short")
    offset = 8
    for _ in range(MOST_PIECES):
        length, kind = struct.unpack(">I4s", need(read, 8, offset, "the PNG ends before its IEND chunk"))
        if kind == b"acTL" and struct.unpack(">I", need(read, 4, offset + 8, "a PNG chunk is cut short"))[0] > 1:
            raise PermanentError(
                "unsupported_content",
                "It is an animated PNG, of which only the first frame can be read.",
                hint="Convert it to an animated WebP or GIF and drop that, or drop its frames as PNG.",
            )
        offset += 12 + length
        if kind == b"IEND":
            need(read, 4, offset - 4, "the PNG ends inside its IEND chunk")
            return header[28] != 0
    raise excessive(f"{MOST_PIECES} chunks")


def check_gif(read: Read) -> tuple[int, int, int]:
    """Width and height of a GIF's screen and how many frames are shown on it.

    Raises PermanentError ``incomplete`` unless its blocks reach its trailer, ``unsupported_content`` for more frames or
    blocks than anybody shows. GIF89a, 17 to 27.
    """
    header = need(read, 13, 0, "the GIF header is cut short")
    width, height = struct.unpack("<HH", header[6:10])
    offset = 13 + _colour_table(header[10])
    frames = pieces = 0
    while pieces < MOST_PIECES:
        kind = need(read, 1, offset, "the GIF ends before its trailer")[0]
        if kind == 0x3B:
            return width, height, frames
        if kind == 0x2C:
            frames += 1
            if frames > MOST_FRAMES:
                raise excessive(f"{MOST_FRAMES} frames")
            offset += 11 + _colour_table(need(read, 10, offset, "a GIF picture is cut short")[9])
        elif kind == 0x21:
            offset += 2
        else:
            raise incomplete("the GIF's blocks do not follow each other")
        while (size := need(read, 1, offset, "the GIF ends inside a block")[0]) and pieces < MOST_PIECES:
            offset += 1 + size
            pieces += 1
        offset += 1
        pieces += 1
    raise excessive(f"{MOST_PIECES} blocks")


def _colour_table(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def check_bmp(read: Read, size: int) -> tuple[int, int]:
    """Width and height of a BMP of ``size`` bytes; ``incomplete`` when its pixels cannot all be there."""
    header = need(read, 30, 0, "the BMP header is cut short")
    start, length = struct.unpack("<II", header[10:18])
    if length == 12:
        width, height, _, bits = struct.unpack("<HHHH", header[18:26])
        compression = 0
    else:
        width, height, _, bits = struct.unpack("<iiHH", header[18:30])
        (compression,) = struct.unpack("<I", need(read, 4, 30, "the BMP header is cut short"))
    height = abs(height)
    if width < 1 or height < 1:
        raise incomplete("the BMP header makes no sense")
    if compression in (0, 3, 6) and start + (width * bits + 31) // 32 * 4 * height > size:
        raise incomplete("the BMP is shorter than its header says")
    return width, height


def bmp_dpi(read: Read) -> tuple[float, float] | None:
    """Dots per inch of a BMP, which stores pixels per metre; None when it does not say."""
    header = read(46, 0)
    if len(header) < 46 or struct.unpack("<I", header[14:18])[0] < 40:
        return None
    across, down = struct.unpack("<ii", header[38:46])
    return (across * 0.0254, down * 0.0254) if across > 0 and down > 0 else None


def check_jp2(read: Read, size: int) -> tuple[int, int, int, int]:
    """Width, height, channels and bits of a JPEG 2000 file; ``incomplete`` unless its codestream ends properly.

    ISO/IEC 15444-1, annex A.5.1 (SIZ marker) and annex I (boxes).
    """
    start, end = 0, size
    if read(4, 0) != b"\xff\x4f\xff\x51":
        start, end = _codestream(read, size)
    header = need(read, 42, start, "the JPEG 2000 header is cut short")
    right, bottom, left, top = struct.unpack(">IIII", header[8:24])
    channels, bits = struct.unpack(">HB", need(read, 3, start + 40, "the JPEG 2000 header is cut short"))
    if header[:4] != b"\xff\x4f\xff\x51" or right <= left or bottom <= top:
        raise incomplete("the JPEG 2000 header makes no sense")
    if need(read, 2, end - 2, "the JPEG 2000 codestream is cut short") != b"\xff\xd9":
        raise incomplete("the JPEG 2000 codestream has no end")
    return right - left, bottom - top, channels, (bits & 0x7F) + 1


def has_box(read: Read, size: int, wanted: bytes) -> bool:
    """Whether an ISO base media file has a box of a kind at its top, as "moov" of a sequence (ISO/IEC 14496-12)."""
    offset = 0
    for _ in range(_MOST_BOXES):
        head = read(16, offset)
        if len(head) < 8:
            return False
        length, kind = struct.unpack(">I4s", head[:8])
        if kind == wanted:
            return True
        if length == 1 and len(head) == 16:
            (length,) = struct.unpack(">Q", head[8:])
        if not length or offset + length > size:
            return False
        offset += max(length, 8)
    return False


def _codestream(read: Read, size: int) -> tuple[int, int]:
    """Where the contiguous codestream box of a JP2 file has its content."""
    offset = 0
    for _ in range(MOST_PIECES):
        length, kind = struct.unpack(">I4s", need(read, 8, offset, "the JPEG 2000 file has no codestream"))
        body = 8
        if length == 1:
            (length,) = struct.unpack(">Q", need(read, 8, offset + 8, "a JPEG 2000 box is cut short"))
            body = 16
        end = offset + length if length else size
        if end > size or end < offset + body:
            raise incomplete("the JPEG 2000 file is shorter than its boxes say")
        if kind == b"jp2c":
            return offset + body, end
        offset = end
    raise excessive(f"{MOST_PIECES} boxes")

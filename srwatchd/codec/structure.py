"""Walks over the outer structure of a file: is its end there, is it one still picture, how much memory to decode.

Decoders stop at the last pixel and so accept a JPEG whose second half is zeros or a PNG without its end; these walks do
not. Pure: they read through a ``pread``-like callable ``read(length, offset) -> bytes``.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import Final

from srwatchd.errors import PermanentError

__all__ = ["Read", "check_bmp", "check_gif", "check_jp2", "check_jpeg", "check_png", "check_riff"]

Read = Callable[[int, int], bytes]

_CHUNK: Final = 1 << 18
_JPEG_MARKER: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
_EOI, _SOS = 0xD9, 0xDA
_PROGRESSIVE: Final = frozenset({0xC2, 0xC6, 0xCA, 0xCE})


def _incomplete(what: str) -> PermanentError:
    return PermanentError("incomplete", f"The file is incomplete or damaged: {what}.")


def _need(read: Read, length: int, offset: int, what: str) -> bytes:
    data = read(length, offset)
    if len(data) < length:
        raise _incomplete(what)
    return data


def check_jpeg(read: Read) -> bool:
    """Whether a JPEG is progressive; PermanentError ``incomplete`` unless a scan and the end-of-image marker are there.

    ITU-T T.81, annex B: marker segments carry their length, entropy-coded data follows each SOS up to the next marker
    that is neither stuffing nor a restart.
    """
    offset, progressive, scanned = 2, False, False
    while True:
        data = _need(read, 2, offset, "the JPEG ends before its end-of-image marker")
        if data[0] != 0xFF:
            raise _incomplete("the JPEG's segments do not follow each other")
        marker = data[1]
        if marker == 0xFF:
            offset += 1
            continue
        if marker == _EOI:
            if not scanned:
                raise _incomplete("the JPEG holds no picture")
            return progressive
        progressive |= marker in _PROGRESSIVE
        (length,) = struct.unpack(">H", _need(read, 2, offset + 2, "a JPEG segment is cut short"))
        offset += 2 + max(length, 2)
        if marker == _SOS:
            scanned = True
            offset = _next_jpeg_marker(read, offset)


def _next_jpeg_marker(read: Read, offset: int) -> int:
    """The offset of the first real marker in entropy-coded data from ``offset`` on."""
    while data := read(_CHUNK, offset):
        found = _JPEG_MARKER.search(data)
        if found:
            return offset + found.start()
        offset += len(data) - 1 if len(data) > 1 else 1
    raise _incomplete("the JPEG ends inside its picture data")


def check_png(read: Read) -> bool:
    """Whether a PNG is interlaced; ``incomplete`` unless its chunks reach IEND, ``unsupported_content`` if animated."""
    header = _need(read, 29, 0, "the PNG header is cut short")
    offset = 8
    while True:
        length, kind = struct.unpack(">I4s", _need(read, 8, offset, "the PNG ends before its IEND chunk"))
        if kind == b"acTL" and struct.unpack(">I", _need(read, 4, offset + 8, "a PNG chunk is cut short"))[0] > 1:
            raise PermanentError("unsupported_content", "It is an animated PNG.")
        offset += 12 + length
        if kind == b"IEND":
            _need(read, 4, offset - 4, "the PNG ends inside its IEND chunk")
            return header[28] != 0


def check_gif(read: Read) -> None:
    """``incomplete`` unless a GIF's blocks reach its trailer, ``unsupported_content`` if it has several pictures."""
    header = _need(read, 13, 0, "the GIF header is cut short")
    offset = 13 + _colour_table(header[10])
    pictures = 0
    while True:
        kind = _need(read, 1, offset, "the GIF ends before its trailer")[0]
        if kind == 0x3B:
            return
        if kind == 0x2C:
            pictures += 1
            if pictures > 1:
                raise PermanentError("unsupported_content", "It is an animated GIF.")
            offset += 11 + _colour_table(_need(read, 10, offset, "a GIF picture is cut short")[9])
        elif kind == 0x21:
            offset += 2
        else:
            raise _incomplete("the GIF's blocks do not follow each other")
        while size := _need(read, 1, offset, "the GIF ends inside a block")[0]:
            offset += 1 + size
        offset += 1


def _colour_table(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def check_riff(read: Read, size: int) -> None:
    """``incomplete`` unless a WebP is as long (``size``) as its header says; ``unsupported_content`` if animated."""
    header = _need(read, 21, 0, "the WebP header is cut short")
    if struct.unpack("<I", header[4:8])[0] + 8 > size:
        raise _incomplete("the WebP is shorter than its header says")
    if header[12:16] == b"VP8X" and header[20] & 2:
        raise PermanentError("unsupported_content", "It is an animated WebP.")


def check_bmp(read: Read, size: int) -> tuple[int, int]:
    """Width and height of a BMP of ``size`` bytes; ``incomplete`` when its pixels cannot all be there."""
    header = _need(read, 30, 0, "the BMP header is cut short")
    start, length = struct.unpack("<II", header[10:18])
    if length == 12:
        width, height, _, bits = struct.unpack("<HHHH", header[18:26])
        compression = 0
    else:
        width, height, _, bits = struct.unpack("<iiHH", header[18:30])
        (compression,) = struct.unpack("<I", _need(read, 4, 30, "the BMP header is cut short"))
    height = abs(height)
    if width < 1 or height < 1:
        raise _incomplete("the BMP header makes no sense")
    if compression in (0, 3, 6) and start + (width * bits + 31) // 32 * 4 * height > size:
        raise _incomplete("the BMP is shorter than its header says")
    return width, height


def check_jp2(read: Read, size: int) -> tuple[int, int, int, int]:
    """Width, height, channels and bits of a JPEG 2000 file; ``incomplete`` unless its codestream ends properly.

    ISO/IEC 15444-1, annex A.5.1 (SIZ marker) and annex I (boxes).
    """
    start, end = 0, size
    if read(4, 0) != b"\xff\x4f\xff\x51":
        start, end = _codestream(read, size)
    header = _need(read, 42, start, "the JPEG 2000 header is cut short")
    right, bottom, left, top = struct.unpack(">IIII", header[8:24])
    channels, bits = struct.unpack(">HB", _need(read, 3, start + 40, "the JPEG 2000 header is cut short"))
    if header[:4] != b"\xff\x4f\xff\x51" or right <= left or bottom <= top:
        raise _incomplete("the JPEG 2000 header makes no sense")
    if _need(read, 2, end - 2, "the JPEG 2000 codestream is cut short") != b"\xff\xd9":
        raise _incomplete("the JPEG 2000 codestream has no end")
    return right - left, bottom - top, channels, (bits & 0x7F) + 1


def _codestream(read: Read, size: int) -> tuple[int, int]:
    """Where the contiguous codestream box of a JP2 file has its content."""
    offset = 0
    while True:
        length, kind = struct.unpack(">I4s", _need(read, 8, offset, "the JPEG 2000 file has no codestream"))
        body = 8
        if length == 1:
            (length,) = struct.unpack(">Q", _need(read, 8, offset + 8, "a JPEG 2000 box is cut short"))
            body = 16
        end = offset + length if length else size
        if end > size or end < offset + body:
            raise _incomplete("the JPEG 2000 file is shorter than its boxes say")
        if kind == b"jp2c":
            return offset + body, end
        offset = end

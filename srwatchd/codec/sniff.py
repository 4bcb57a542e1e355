"""What kind of file the first bytes say it is. Pure; an extension is never evidence."""

from __future__ import annotations

import re
import struct
from typing import Final

__all__ = ["HEAD_SIZE", "sniff"]

HEAD_SIZE: Final = 1 << 16
"""How many first bytes :func:`sniff` should be given; fewer are allowed and only make RAW harder to tell from TIFF."""

_MAGIC: Final[tuple[tuple[bytes, str], ...]] = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "jp2"),
    (b"\xff\x4f\xff\x51", "jp2"),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "jxl"),
    (b"\xff\x0a", "jxl"),
    (b"8BPS", "psd"),
    (b"FUJIFILMCCD-RAW", "raw"),
    (b"IIRO", "raw"),
    (b"IIRS", "raw"),
    (b"MMOR", "raw"),
    (b"IIU\x00", "raw"),
    (b"FOVb", "raw"),
    (b"\x00MRM", "raw"),
    (b"II\x1a\x00\x00\x00HEAPCCDR", "raw"),
    (b"II\xbc", "jxr"),
    (b"\x76\x2f\x31\x01", "exr"),
    (b"#?RADIANCE", "hdr"),
    (b"#?RGBE", "hdr"),
    (b"%!PS", "eps"),
    (b"\xc5\xd0\xd3\xc6", "eps"),
    (b"\x00\x00\x01\x00", "ico"),
    (b"DDS ", "dds"),
    (b"qoif", "qoi"),
    (b"gimp xcf", "xcf"),
)
_TIFF_STARTS: Final = {b"II*\x00": "<", b"MM\x00*": ">", b"II+\x00": "<", b"MM\x00+": ">"}
_HEIC_BRANDS: Final = frozenset({b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1", b"mif2"})
_RAW_MAKERS: Final = (
    b"NIKON",
    b"SONY",
    b"PENTAX",
    b"RICOH",
    b"SAMSUNG",
    b"Hasselblad",
    b"Phase One",
    b"Leaf",
    b"EASTMAN",
)
_TAG_SUBFILE, _TAG_PHOTOMETRIC, _TAG_MAKE, _TAG_SUB_IFDS, _TAG_DNG = 0x00FE, 0x0106, 0x010F, 0x014A, 0xC612
_CFA, _LINEAR_RAW = 32803, 34892


def sniff(head: bytes) -> str | None:  # noqa: PLR0911 - one question after the other
    """The name of the format that ``head`` begins, or None when it is none that srwatchd has a name for.

    The names are the keys of :data:`srwatchd.codec.formats.FORMATS`. Recognised is not the same as supported: "heic",
    "raw", "pdf", "psd" and others are named so that the refusal can say what to do.
    """
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    if head[:4] in _TIFF_STARTS:
        return "raw" if _is_raw_tiff(head) else "tiff"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[4:8] == b"ftyp":
        return _sniff_boxes(head)
    if head[:2] == b"BM" and head[6:10] == b"\x00\x00\x00\x00" and len(head) >= 18:
        return "bmp"
    if b"%PDF-" in head[:1024]:
        return "pdf"
    if re.match(rb"P[1-7]\s", head):
        return "pnm"
    return "svg" if re.search(rb"<svg[\s>]", head[:4096]) else None


def _sniff_boxes(head: bytes) -> str:
    """The format of an ISO base media file by its brands (ISO/IEC 14496-12, 4.3)."""
    end = min(struct.unpack(">I", head[:4])[0], len(head), 512)
    major = head[8:12]
    brands = {major} | {head[at : at + 4] for at in range(16, end - 3, 4)}
    if major == b"crx ":
        return "raw"
    if brands & {b"avif", b"avis"}:
        return "avif"
    return "heic" if brands & _HEIC_BRANDS else "video"


def _is_raw_tiff(head: bytes) -> bool:
    """Whether a TIFF is a camera's RAW: CR2, DNG, a colour filter array, or a maker's file led by a thumbnail."""
    if head[8:10] == b"CR":
        return True
    order = _TIFF_STARTS[head[:4]]
    try:
        (start,) = struct.unpack_from(f"{order}I", head, 4)
        (count,) = struct.unpack_from(f"{order}H", head, start)
        tags: dict[int, int] = {}
        make = b""
        for at in range(start + 2, start + 2 + 12 * min(count, 256), 12):
            tag, kind, _, value = struct.unpack_from(f"{order}HHII", head, at)
            tags[tag] = struct.unpack_from(f"{order}H", head, at + 8)[0] if kind == 3 else value
            if tag == _TAG_MAKE:
                make = head[value : value + 16]
    except struct.error:
        return False
    if _TAG_DNG in tags or tags.get(_TAG_PHOTOMETRIC) in (_CFA, _LINEAR_RAW):
        return True
    return tags.get(_TAG_SUBFILE) == 1 and _TAG_SUB_IFDS in tags and make.startswith(_RAW_MAKERS)

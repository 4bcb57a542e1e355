"""ICC profiles as bytes: what they are for, and a grey one in the form that formats without grey can hold. Pure."""

from __future__ import annotations

import struct
from typing import Final

__all__ = ["as_rgb", "profile_fits"]

_SPACES: Final = {b"GRAY": "grey", b"RGB ": "rgb", b"CMYK": "cmyk"}
_HEADER: Final = 128
_MOST_TAGS: Final = 100
_KEPT: Final[tuple[bytes, ...]] = (b"desc", b"cprt", b"wtpt")
_PRIMARIES: Final[dict[bytes, tuple[int, int, int]]] = {
    b"rXYZ": (0x6FA2, 0x38F5, 0x0390),
    b"gXYZ": (0x6299, 0xB785, 0x18DA),
    b"bXYZ": (0x24A0, 0x0F84, 0xB6CF),
}
"""sRGB's, adapted to D50, in units of 1/65536 (IEC 61966-2-1 Amendment 1). Equal amounts of any three make grey."""


def profile_fits(icc: bytes, colour: str) -> bool:
    """Whether a profile is one for "grey", "rgb" or "cmyk" values (ICC.1:2022, 7.2.6 data colour space)."""
    return len(icc) > _HEADER and icc[36:40] == b"acsp" and _SPACES.get(icc[16:20]) == colour


def as_rgb(icc: bytes) -> bytes:
    """A grey profile as one for RGB with the same tone curve in all three channels; empty when that cannot be done.

    So grey values that a format stores as three equal channels keep their meaning. It needs a grey curve to XYZ, as
    practically all grey profiles have.
    """
    if not profile_fits(icc, "grey") or icc[20:24] != b"XYZ ":
        return b""
    tags = _tags(icc)
    curve = tags.get(b"kTRC", b"")
    if curve[:4] not in (b"curv", b"para"):
        return b""
    parts = {tag: tags[tag] for tag in _KEPT if tag in tags}
    parts |= {tag: b"XYZ \0\0\0\0" + struct.pack(">3i", *values) for tag, values in _PRIMARIES.items()}
    parts |= {tag + b"TRC": curve for tag in (b"r", b"g", b"b")}
    return _profile(icc[:_HEADER], parts)


def _tags(icc: bytes) -> dict[bytes, bytes]:
    """The tags of a profile that lie inside it."""
    (count,) = struct.unpack_from(">I", icc, _HEADER) if len(icc) >= _HEADER + 4 else (0,)
    tags = {}
    for at in range(_HEADER + 4, min(len(icc) - 11, _HEADER + 4 + 12 * min(count, _MOST_TAGS)), 12):
        tag, offset, size = struct.unpack_from(">4sII", icc, at)
        if offset + size <= len(icc):
            tags[tag] = icc[offset : offset + size]
    return tags


def _profile(header: bytes, parts: dict[bytes, bytes]) -> bytes:
    """A profile with ``header``, made one of RGB without an id, and the tags ``parts``; equal ones are shared."""
    table, body, places = b"", b"", dict[bytes, int]()
    begin = _HEADER + 4 + 12 * len(parts)
    for tag, data in parts.items():
        if data not in places:
            places[data] = begin + len(body)
            body += data + b"\0" * (-len(data) % 4)
        table += struct.pack(">4sII", tag, places[data], len(data))
    size = struct.pack(">I", begin + len(body))
    header = size + header[4:16] + b"RGB " + header[20:84] + bytes(16) + header[100:]
    return header + struct.pack(">I", len(parts)) + table + body

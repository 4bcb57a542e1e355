"""The index of pictures that a JPEG may carry behind its own (CIPA DC-007, Multi-Picture Format). Pure.

Phones store a gain map or a preview there, which belongs to the picture and is of no use once it is enlarged; 3D and
panorama cameras store further views, which are pictures of their own.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from srwatchd.codec.tags import Tiff

if TYPE_CHECKING:
    from srwatchd.codec.structure import Read

__all__ = ["MARK", "views_of"]

MARK: Final = b"MPF\0"
"""How an APP2 segment with the index begins."""

_ENTRIES: Final = 0xB002
_ENTRY_BYTES: Final = 16
_TYPE: Final = 0xFFFFFF
_VIEWS: Final = frozenset({0x020001, 0x020002, 0x020003})
"""Parts of a panorama, the eyes of a 3D picture, angles."""


def views_of(read: Read, begin: int, length: int) -> int:
    """How many views the index of ``length`` bytes at ``begin`` (after its mark) lists; 1 for an ordinary picture."""
    try:
        index = Tiff(lambda count, at: read(max(0, min(count, length - at)), begin + at), length)
    except ValueError:
        return 1
    entries = [field.data for field in index.fields(index.first, at_most=length) if field.tag == _ENTRIES]
    places = range(0, len(entries[0]) - _ENTRY_BYTES + 1, _ENTRY_BYTES) if entries else ()
    kinds = [struct.unpack_from(f"{index.order}I", entries[0], at)[0] & _TYPE for at in places]
    return max(1, sum(kind in _VIEWS for kind in kinds))

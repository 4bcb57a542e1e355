"""Directories of tags, as TIFF files and EXIF blocks have them (TIFF 6.0, BigTIFF, EXIF 2.3). Pure.

Values are given in little-endian order, whatever the file's. Nothing here trusts an offset or a count: what does not
lie inside the file is absent.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from srwatchd.codec.structure import Read

__all__ = ["Field", "Layout", "Record", "Tiff"]

_UNIT: Final = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""Bytes of one value of each type."""

_SWAPPED: Final = {5: 4, 10: 4, 7: 1}
"""Bytes that change their order together, where that is not the whole value."""

_MOST_ENTRIES: Final = 4096
_MOST_IN_ALL: Final = 4 << 20


@dataclass(frozen=True, slots=True)
class Field:
    """One tag: its number, its type, how many values, and these as little-endian bytes."""

    tag: int
    kind: int
    count: int
    data: bytes

    @classmethod
    def number(cls, tag: int, value: int, *, wide: bool = False) -> Field:
        """A field of one LONG (LONG8 if ``wide``)."""
        return cls(tag, 16 if wide else 4, 1, struct.pack("<Q" if wide else "<I", value))

    def first(self) -> int:
        """Its first value as a whole number, 0 if it has none."""
        return int.from_bytes(self.data[: min(_UNIT[self.kind], 8)], "little")


@dataclass(frozen=True, slots=True)
class Record:
    """One entry of a directory as the file has it: 12 bytes, 20 in a BigTIFF."""

    tag: int
    kind: int
    count: int
    raw: bytes

    @property
    def size(self) -> int:
        """Bytes of its values; 0 for a type that nobody knows."""
        return _UNIT.get(self.kind, 0) * self.count


class Tiff:
    """A file or block of ``size`` bytes that begins with a TIFF header. Raises ValueError when it does not."""

    def __init__(self, read: Read, size: int) -> None:
        head = read(16, 0)
        order, magic = {b"II": "<", b"MM": ">"}.get(head[:2], ""), head[2:4]
        numbers = {struct.pack(f"{order}H", 42): False, struct.pack(f"{order}H", 43): True} if order else {}
        if magic not in numbers or len(head) < 8:
            raise ValueError("not a TIFF header")
        self.order, self.big, self.size = order, numbers[magic], size
        self._read = read
        self._address = f"{order}{'Q' if self.big else 'I'}"
        self.first = self._unpacked(head[8:16] if self.big else head[4:8])

    @property
    def inline(self) -> int:
        """Bytes of a value that an entry itself holds: 4, or 8 in a BigTIFF. Also the bytes of an offset."""
        return 8 if self.big else 4

    def records(self, offset: int) -> tuple[list[Record], int]:
        """The entries of the directory at ``offset`` and where the next directory is; ValueError if there is none."""
        width, length = (8, 20) if self.big else (2, 12)
        head = self._read(width, offset) if 8 <= offset < self.size else b""
        if len(head) < width:
            raise ValueError("no directory there")
        (count,) = struct.unpack(f"{self.order}{'Q' if self.big else 'H'}", head)
        body = self._read(count * length + self.inline, offset + width) if count <= _MOST_ENTRIES else b""
        if len(body) < count * length:
            raise ValueError("the directory is cut short")
        records = []
        for at in range(0, count * length, length):
            tag, kind, values = struct.unpack_from(f"{self.order}HH{'Q' if self.big else 'I'}", body, at)
            records.append(Record(tag, kind, values, body[at : at + length]))
        following = body[count * length :]
        return records, self._unpacked(following) if len(following) == self.inline else 0

    def inside(self, record: Record) -> bool:
        """Whether a record's type is known and it has values, which lie inside the file."""
        if record.size == 0:
            return False
        return record.size <= self.inline or self._unpacked(record.raw[-self.inline :]) + record.size <= self.size

    def fields(self, offset: int, *, at_most: int) -> list[Field]:
        """The readable tags of the directory at ``offset`` with values of up to ``at_most`` bytes; none if damaged.

        What would make more than 4 MiB in all is passed over: entries may share what the file has once.
        """
        try:
            records, _ = self.records(offset)
        except ValueError:
            return []
        found, left = [], _MOST_IN_ALL
        for record in records:
            if self.inside(record) and record.size <= min(at_most, left):
                found.append(self.field(record))
                left -= record.size
        return found

    def field(self, record: Record) -> Field:
        """A record that is :meth:`inside`, with its values."""
        data = record.raw[-self.inline :]
        data = data[: record.size] if record.size <= self.inline else self._read(record.size, self._unpacked(data))
        if self.order == ">":
            data = _reversed(data, _SWAPPED.get(record.kind, _UNIT[record.kind]))
        return Field(record.tag, record.kind, record.count, data)

    def _unpacked(self, data: bytes) -> int:
        try:
            return int(struct.unpack(self._address, data)[0])
        except struct.error:
            raise ValueError("the header is cut short") from None


def _reversed(data: bytes, unit: int) -> bytes:
    return data if unit == 1 else b"".join(data[at : at + unit][::-1] for at in range(0, len(data), unit))


class Layout:
    """Directories being laid out from the (even) file offset ``base`` on; ``content`` is what to write there."""

    def __init__(self, base: int, *, big: bool = False, order: str = "<") -> None:
        self._content = bytearray()
        self._base, self._big, self._order = base, big, order

    @property
    def content(self) -> bytes:
        """All that was laid out so far."""
        return bytes(self._content)

    def directory(self, fields: Iterable[Field], *, records: Iterable[Record] = (), following: int = 0) -> int:
        """Lay out a directory of ``fields`` (little-endian layouts only) and ``records`` as they are; its offset."""
        entries = [(field.tag, self._entry(field)) for field in fields]
        entries += [(record.tag, record.raw) for record in records]
        entries.sort()
        offset = self._base + len(self._content)
        counted = struct.pack(f"{self._order}{'Q' if self._big else 'H'}", len(entries))
        end = struct.pack(f"{self._order}{'Q' if self._big else 'I'}", following)
        self._content += counted + b"".join(entry for _, entry in entries) + end
        return offset

    def _entry(self, field: Field) -> bytes:
        inline, address = (8, "Q") if self._big else (4, "I")
        if len(field.data) <= inline:
            value = field.data.ljust(inline, b"\0")
        else:
            value = struct.pack(f"<{address}", self._base + len(self._content))
            self._content += field.data + b"\0" * (len(field.data) % 2)
        return struct.pack(f"<HH{address}", field.tag, field.kind, field.count) + value

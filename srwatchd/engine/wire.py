"""The wire format of protocol buffers, as far as model files need it: read, change, write, and keep what is unknown.

The encoding is that of https://protobuf.dev/programming-guides/encoding/. A network file is a few hundred small
messages around large byte strings, so nothing is copied: a value is a view of the file. Written here because the two
alternatives are generated classes with their own runtime for two schemas of which a dozen fields matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Bytes", "Field", "WireError", "encode", "field", "first", "integer", "integers", "last", "parse", "text"]

Bytes = bytes | memoryview
VARINT: Final = 0
FIXED64: Final = 1
LENGTH: Final = 2
FIXED32: Final = 5
_FIXED: Final = {FIXED64: 8, FIXED32: 4}
_LONGEST_VARINT: Final = 10
_MOST_FIELDS: Final = 1_000_000
_SIGN: Final = 1 << 63
_WORD: Final = 1 << 64


class WireError(ValueError):
    """The bytes are no message: truncated, damaged or something else."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field as it stands in a message: its number, its wire type, and an integer or a view of its bytes."""

    number: int
    kind: int
    value: int | Bytes


def parse(data: Bytes) -> list[Field]:
    """The fields of the message ``data`` in their order. Raises :class:`WireError`."""
    view = memoryview(data)
    found: list[Field] = []
    position, end = 0, len(view)
    while position < end:
        key, position = _varint(view, position)
        number, kind = key >> 3, key & 7
        if number == 0 or len(found) >= _MOST_FIELDS:
            raise WireError("no message of a network")
        if kind == VARINT:
            value, position = _varint(view, position)
            found.append(Field(number, kind, value))
            continue
        if kind == LENGTH:
            size, position = _varint(view, position)
        elif kind in _FIXED:
            size = _FIXED[kind]
        else:
            raise WireError(f"wire type {kind} is not in use")
        if size > end - position:
            raise WireError(f"{size} bytes are announced where {end - position} are left: it is cut short or damaged")
        found.append(Field(number, kind, view[position : position + size]))
        position += size
    return found


def encode(fields: Iterable[Field]) -> bytes:
    """The message of ``fields``; what :func:`parse` gave comes out as it was, varints in their shortest form."""
    parts: list[Bytes] = []
    for each in fields:
        parts.append(_written(each.number << 3 | each.kind))
        if isinstance(each.value, int):
            parts.append(_written(each.value))
            continue
        if each.kind == LENGTH:
            parts.append(_written(len(each.value)))
        parts.append(each.value)
    return b"".join(parts)


def field(number: int, value: int | str | Bytes) -> Field:
    """A field of an integer, a text or bytes (a message is its bytes)."""
    if isinstance(value, int):
        return Field(number, VARINT, value % _WORD)
    return Field(number, LENGTH, value.encode() if isinstance(value, str) else value)


def first(fields: Iterable[Field], number: int) -> Bytes:
    """The bytes of the first field of that number, empty when there is none. Raises :class:`WireError`."""
    return next(_all(fields, number), b"")


def last(fields: Iterable[Field], number: int, default: int = 0) -> int:
    """The integer of the last field of that number. Raises :class:`WireError`."""
    value = default
    for each in fields:
        if each.number == number:
            value = integer(each)
    return value


def text(fields: Iterable[Field], number: int) -> str:
    """The text of the first field of that number; bytes that are no UTF-8 are escaped."""
    return bytes(first(fields, number)).decode("utf-8", "backslashreplace")


def integer(one: Field) -> int:
    """The signed integer of a varint field. Raises :class:`WireError`."""
    if not isinstance(one.value, int):
        raise WireError(f"field {one.number} holds bytes where an integer belongs")
    return one.value - _WORD if one.value >= _SIGN else one.value


def integers(fields: Iterable[Field], number: int) -> list[int]:
    """All integers of a repeated field, packed or not. Raises :class:`WireError`."""
    found: list[int] = []
    for each in fields:
        if each.number != number:
            continue
        if isinstance(each.value, int):
            found.append(integer(each))
            continue
        view, position = memoryview(each.value), 0
        while position < len(view):
            value, position = _varint(view, position)
            found.append(value - _WORD if value >= _SIGN else value)
    return found


def _all(fields: Iterable[Field], number: int) -> Iterator[Bytes]:
    for each in fields:
        if each.number == number:
            if isinstance(each.value, int) or each.kind != LENGTH:
                raise WireError(f"field {number} holds a number where bytes belong")
            yield each.value


def _varint(view: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for index in range(_LONGEST_VARINT):
        if position >= len(view):
            raise WireError("it ends in the middle of a number: it is cut short or damaged")
        byte = view[position]
        position += 1
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:  # noqa: PLR2004 - the bit that says that another byte follows
            return value % _WORD, position
    raise WireError("a number is longer than ten bytes")


def _written(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:  # noqa: PLR2004 - seven bits to a byte
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)

"""From whole pictures to broken ones: blind changes, and changes that know the pieces a format is made of. Pure."""

# ruff: noqa: PLR2004 - odds and offsets say more as they are

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

__all__ = ["mutated", "pieces"]

_NUMBERS = (0, 1, 2, 7, 8, 127, 128, 255, 256, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_PNG_START = b"\x89PNG\r\n\x1a\n"


def mutated(rng: random.Random, name: str, files: dict[str, bytes]) -> tuple[bytes, str]:
    """The file ``name`` after one to three mutations, and the names of these."""
    content, done = files[name], []
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        mutation = rng.choice(_MUTATIONS)
        content = mutation(rng, content, name, files)
        done.append(mutation.__name__.strip("_"))
    return content, "+".join(done)


def _flips(rng: random.Random, content: bytes, _name: str, _files: dict[str, bytes]) -> bytes:
    """Some bytes become others."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 4, 16, 64))):
        data[_place(rng, data)] = rng.randrange(256)
    return bytes(data)


def _bit(rng: random.Random, content: bytes, _name: str, _files: dict[str, bytes]) -> bytes:
    """One bit turns."""
    data = bytearray(content)
    data[_place(rng, data)] ^= 1 << rng.randrange(8)
    return bytes(data)


def _number(rng: random.Random, content: bytes, _name: str, _files: dict[str, bytes]) -> bytes:
    """A telling number in one of the usual forms: lengths, sizes, offsets, counts."""
    at = _place(rng, content)
    form = rng.choice(("B", ">H", "<H", ">I", "<I"))
    value = rng.choice(_NUMBERS) & ((1 << 8 * struct.calcsize(form)) - 1)
    packed = struct.pack(form, value)
    return content[:at] + packed + content[at + len(packed) :]


def _cut(rng: random.Random, content: bytes, _name: str, _files: dict[str, bytes]) -> bytes:
    """The end is missing."""
    return content[: rng.randrange(1, len(content) + 1)]


def _zeros(rng: random.Random, content: bytes, _name: str, _files: dict[str, bytes]) -> bytes:
    """A stretch is zeros, often up to the end."""
    at = _place(rng, content)
    length = len(content) - at if rng.random() < 0.5 else rng.randrange(1, 600)
    return content[:at] + bytes(min(length, len(content) - at)) + content[at + length :]


def _moved(rng: random.Random, content: bytes, _name: str, _files: dict[str, bytes]) -> bytes:
    """A stretch is removed, doubled, or put elsewhere."""
    at, length = _place(rng, content), rng.randrange(1, 400)
    part, rest = content[at : at + length], content[:at] + content[at + length :]
    to = rng.randrange(len(rest) + 1)
    return rng.choice((rest or content, content[:at] + part + content[at:], rest[:to] + part + rest[to:]))


def _spliced(rng: random.Random, content: bytes, name: str, files: dict[str, bytes]) -> bytes:
    """The beginning of one file and the end of another, mostly of the same format."""
    kind = name.partition("-")[0]
    others = [other for other in files if other.startswith(kind)] if rng.random() < 0.8 else list(files)
    other = files[rng.choice(others)]
    return content[: _place(rng, content)] + other[_place(rng, other) :]


def _padded(rng: random.Random, content: bytes, _name: str, _files: dict[str, bytes]) -> bytes:
    """Something follows the end."""
    return content + (rng.randbytes(rng.randrange(1, 4000)) if rng.random() < 0.5 else content)


def _pieces_changed(rng: random.Random, content: bytes, name: str, files: dict[str, bytes]) -> bytes:
    """Chunks, segments or boxes are dropped, doubled, exchanged or taken from another file of the format."""
    parts = list(pieces(content))
    if len(parts) < 2:
        return _flips(rng, content, name, files)
    for _ in range(rng.choice((1, 1, 2, 5))):
        first, second = rng.randrange(len(parts)), rng.randrange(len(parts))
        match rng.randrange(4):
            case 0 if len(parts) > 1:
                del parts[first]
            case 1:
                parts.insert(second, parts[first] * rng.choice((1, 1, 50)))
            case 2:
                parts[first], parts[second] = parts[second], parts[first]
            case _:
                other = files[rng.choice([each for each in files if each[:3] == name[:3]])]
                parts.insert(second, rng.choice(pieces(other)))
        if len(parts) < 2:
            break
    return b"".join(parts)


def _piece_inside(rng: random.Random, content: bytes, name: str, files: dict[str, bytes]) -> bytes:
    """One chunk changes inside; a PNG's checksum is made to fit, so that the change is believed."""
    parts = list(pieces(content))
    chosen = rng.randrange(len(parts))
    part = rng.choice((_flips, _number, _bit))(rng, parts[chosen], name, files)
    if content.startswith(_PNG_START) and len(part) >= 12 and chosen:
        body = part[4:-4]
        part = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return b"".join((*parts[:chosen], part, *parts[chosen + 1 :]))


def _place(rng: random.Random, content: Sequence[int]) -> int:
    """An offset, three times out of five near the beginning, where headers are."""
    near = min(len(content), rng.choice((32, 256, 1024)))
    return rng.randrange(near) if rng.random() < 0.6 else rng.randrange(len(content))


_MUTATIONS: tuple[Callable[[random.Random, bytes, str, dict[str, bytes]], bytes], ...] = (
    _flips, _flips, _bit, _number, _number, _number, _cut, _zeros, _moved, _spliced, _padded, _pieces_changed,
    _pieces_changed, _piece_inside, _piece_inside, _piece_inside,
)  # fmt: skip


def pieces(content: bytes) -> list[bytes]:
    """The pieces a file is made of, which together are the file; one piece where its format is not known here."""
    if content.startswith(_PNG_START):
        return _split(content, 8, _png_length)
    if content.startswith(b"\xff\xd8"):
        return _split(content, 2, _jpeg_length)
    if content.startswith(b"RIFF"):
        return _split(content, 12, _riff_length)
    if content[4:8] in (b"ftyp", b"jP  "):
        return _split(content, 0, _box_length)
    if content[:4] in (b"II*\0", b"II+\0"):
        return _tiff_pieces(content)
    return [content]


def _split(content: bytes, start: int, length: Callable[[bytes, int], int]) -> list[bytes]:
    parts, at = [content[:start]] if start else [], start
    while at < len(content):
        end = min(len(content), at + max(1, length(content, at)))
        parts.append(content[at:end])
        at = end
    return parts


def _png_length(content: bytes, at: int) -> int:
    return 12 + int.from_bytes(content[at : at + 4], "big")


def _riff_length(content: bytes, at: int) -> int:
    length = int.from_bytes(content[at + 4 : at + 8], "little")
    return 8 + length + length % 2


def _box_length(content: bytes, at: int) -> int:
    return int.from_bytes(content[at : at + 4], "big") or len(content) - at


def _jpeg_length(content: bytes, at: int) -> int:
    """A marker segment, or the picture data up to the next marker."""
    if content[at : at + 1] == b"\xff" and content[at + 1 : at + 2] not in (b"\x00", b"\xd9"):
        return 2 + int.from_bytes(content[at + 2 : at + 4], "big")
    end = at + 2
    while end < len(content) and not (content[end] == 0xFF and content[end + 1 : end + 2] > b"\x00"):
        end += 1
    return end - at


def _tiff_pieces(content: bytes) -> list[bytes]:
    """Header, pixels, each entry of the first directory, and what follows."""
    big = content[2] == 43
    start = int.from_bytes(content[8:16] if big else content[4:8], "little")
    width, length = (8, 20) if big else (2, 12)
    count = min(64, int.from_bytes(content[start : start + width], "little"))
    ends = [16 if big else 8, start + width, *(start + width + length * (number + 1) for number in range(count))]
    parts, at = [], 0
    for end in (*ends, len(content)):
        parts.append(content[at:end])
        at = max(at, end)
    return [part for part in parts if part] or [content]

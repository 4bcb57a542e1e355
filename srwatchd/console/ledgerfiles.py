"""The ledger's files as the index follows them: which there are, who each is, and its lines from an offset on."""

from __future__ import annotations

import contextlib
import json
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from srwatchd.audit import segments
from srwatchd.audit.segments import first_sequence, lines_of, open_segment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

__all__ = ["Line", "Looks", "Segment", "fields_at", "lines_from", "same_end"]

_SEQUENCE: Final = re.compile(rb'"event\.sequence":([0-9]{1,16})')
_HASH: Final = re.compile(rb'"srwatchd\.hash":"([0-9a-f]{64})"\}\n\Z')
_HEAD: Final = 1 << 20
_ROUNDS: Final = 4
_LONGEST: Final = 4 << 20


@dataclass(frozen=True, slots=True)
class Segment:
    """One file: the sequence it begins with, the hash of its first line, its size at the look."""

    path: Path
    first: int
    head: str
    inode: int
    size: int


@dataclass(frozen=True, slots=True)
class Line:
    """One whole line: its bytes, where it lies, the sequence and the hash that it states (0 and "" without)."""

    raw: bytes
    offset: int
    end: int
    sequence: int
    hash: str


class Looks:
    """Remembers the heads of files that were looked at, so that a look at many segments opens none of them again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._heads: dict[tuple[int, int], tuple[int, str]] = {}

    def present(self) -> list[Segment]:
        """All segments, oldest first; seen twice alike, as a rotation between two looks hides one."""
        before: list[Path] = []
        for _ in range(_ROUNDS):
            here = segments(self._path)
            if here == before:
                break
            before = here
        found: dict[int, Segment] = {}
        for path in before:
            with contextlib.suppress(OSError, ValueError):
                segment = self._looked_at(path)
                found.setdefault(segment.first, segment)
        return [found[first] for first in sorted(found)]

    def _looked_at(self, path: Path) -> Segment:
        facts = os.stat(path, follow_symlinks=False)
        key = (facts.st_ino, facts.st_mtime_ns if path != self._path else 0)
        if key not in self._heads or path == self._path:
            self._heads[key] = _head(path)
        first, head = self._heads[key]
        named = first_sequence(self._path, path.name)
        return Segment(path, first if named is None else named, head, facts.st_ino, facts.st_size)


def _head(path: Path) -> tuple[int, str]:
    """Sequence and hash of a file's first line. Raises ValueError when it has none."""
    with os.fdopen(open_segment(path), "rb") as file:
        raw = file.readline(_HEAD)
    sequence, digest = _SEQUENCE.search(raw), _HASH.search(raw)
    if sequence is None or digest is None:
        raise ValueError("the first line is no line of a ledger")
    return int(sequence[1]), digest[1].decode("ascii")


def lines_from(path: Path, offset: int) -> Iterator[Line]:
    """The whole lines from ``offset`` on, in bounded memory; ends before a line that is being written."""
    with os.fdopen(open_segment(path), "rb") as file:
        file.seek(offset)
        for raw in lines_of(file):
            end = file.tell() if len(raw) > _LONGEST else offset + len(raw)
            if not raw.endswith(b"\n") and len(raw) <= _LONGEST:
                return
            sequence, digest = _SEQUENCE.search(raw), _HASH.search(raw)
            yield Line(raw, offset, end, int(sequence[1]) if sequence else 0, digest[1].decode() if digest else "")
            offset = end


def same_end(path: Path, end: int, digest: str) -> bool:
    """Whether the line that ends at ``end`` is still the one with that hash; True at the very beginning."""
    if end == 0 or not digest:
        return True
    tail = f'"srwatchd.hash":"{digest}"}}\n'.encode("ascii")
    with contextlib.suppress(OSError):
        descriptor = open_segment(path)
        try:
            return os.pread(descriptor, len(tail), max(0, end - len(tail))) == tail
        finally:
            os.close(descriptor)
    return False


def fields_at(path: Path, offset: int, length: int) -> dict[str, Any] | None:
    """The fields of the line at that place; None when it is no line of a ledger (any more)."""
    try:
        descriptor = open_segment(path)
        try:
            raw = os.pread(descriptor, min(length, _LONGEST), offset)
        finally:
            os.close(descriptor)
        fields = json.loads(raw)
    except (OSError, ValueError, RecursionError):
        return None
    return fields if isinstance(fields, dict) else None

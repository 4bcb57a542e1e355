r"""What Samba's ``full_audit`` says about who wrote which file. Pure: bytes in, people out.

An entry as smbd writes it (in one piece, seen with 4.17) is a header and one line; the times are local::

    [2026/11/22 17:53:43.213172,  1] ../../source3/modules/vfs_full_audit.c:643(do_log)
      srw|%U|%u|%I|%m|%S|create_file|ok|0x12019f|file|overwrite_if|/srv/scans/in/a.png

Clients choose ``%U``, ``%m`` and the names of files; only ``%u``, the user that smbd authenticated, and ``%I`` are
believed. A name can hold anything, a line break too (made by another way in, then touched through Samba): smbd indents
what follows a break, so an entry counts only when its header is at the beginning of a line and exactly one line
follows it. A name with ``|`` ends its line, so it is whole; only a rename can be ambiguous, and then
what is known of either name is forgotten.

:class:`Trails` remembers for every name in the inbox who opened it for writing and changed it, and when. A file is
only ever attributed to somebody by whom its last change (its ctime, which no client can set) is explained. What that
cannot tell: whether somebody else wrote to the file by another way in between two changes of the same user.
"""

from __future__ import annotations

import enum
import os
import re
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Deed", "Line", "Splitter", "Trails", "Visitor", "last_time"]

_HEADER: Final = re.compile(
    rb"\[(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d(?:\.\d{1,6})?), [^\]]*\] \S*vfs_full_audit\.c:\d+\(do_log\)"
)
_ANY_HEADER: Final = re.compile(rb"^\[(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d)", re.MULTILINE)
_MARK: Final = b"  srw|"
_PREFIX_FIELDS: Final = 6
_CREATE_FIELDS: Final = 4
"""Access mask, kind, disposition, path."""
_LONGEST: Final = 32 << 10
"""Two paths of the longest kind, with room to spare."""
_LONGEST_USER: Final = 256
_SECOND: Final = 1_000_000_000

_WRITES: Final = 0x2 | 0x4 | 0x02000000 | 0x10000000 | 0x40000000
"""FILE_WRITE_DATA, FILE_APPEND_DATA, MAXIMUM_ALLOWED, GENERIC_ALL, GENERIC_WRITE ([MS-SMB2] 2.2.13.1.1)."""
_MAKES: Final = frozenset({b"create", b"overwrite", b"overwrite_if", b"supersede"})


class Deed(enum.Enum):
    """What somebody did to a file."""

    OPENED = "opened"
    """For writing."""
    CHANGED = "changed"
    CLOSED = "closed"
    RENAMED = "renamed"
    REMOVED = "removed"


_DEEDS: Final = {
    b"pwrite": Deed.CHANGED,
    b"pwrite_recv": Deed.CHANGED,
    b"ftruncate": Deed.CHANGED,
    b"close": Deed.CLOSED,
    b"unlinkat": Deed.REMOVED,
    b"unlink": Deed.REMOVED,
}


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody on the other side of a share: the user that Samba authenticated, and the client's address."""

    user: str
    address: str


@dataclass(frozen=True, slots=True)
class Line:
    """One deed. ``at_ns`` is the log's time since 1970; ``renames`` are all ways in which a rename can be read."""

    at_ns: int
    visitor: Visitor
    deed: Deed
    path: str = ""
    renames: tuple[tuple[str, str], ...] = ()


class Splitter:
    """Makes deeds of one log file's bytes, in whatever pieces they come. What is torn or damaged is passed over.

    ``cut``: the bytes begin somewhere, perhaps in the middle of a name; the first line says nothing.
    """

    def __init__(self, *, cut: bool = False) -> None:
        self._rest = b""
        self._skipping = cut
        self._header: bytes | None = None
        self._entry: tuple[bytes, bytes] | None = None

    def feed(self, data: bytes, *, end: bool) -> Iterator[Line]:
        """The deeds that ``data`` completes; ``end``: there is nothing more for now, so the last entry is whole."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if self._skipping:
                self._skipping = False
            else:
                yield from self._line(line)
        if len(self._rest) > _LONGEST:
            self._rest, self._skipping = b"", True
            self._header = self._entry = None
        if end and not self._rest and not self._skipping:
            yield from self._flush()

    def _line(self, line: bytes) -> Iterator[Line]:
        found = _HEADER.match(line)
        if found is not None:
            yield from self._flush()
            self._header = found[1]
        elif self._header is not None and line.startswith(_MARK):
            self._entry, self._header = (self._header, line[2:]), None
        else:
            self._header = self._entry = None

    def _flush(self) -> Iterator[Line]:
        entry, self._entry = self._entry, None
        if entry is not None and (line := _parse(*entry)) is not None:
            yield line


def last_time(data: bytes) -> float | None:
    """The time of the last message in the end of a log, whatever it is about; seconds since 1970."""
    times = [found[1] for found in _ANY_HEADER.finditer(data)]
    at_ns = _nanoseconds(times[-1]) if times else None
    return None if at_ns is None else at_ns / _SECOND


def _parse(time: bytes, entry: bytes) -> Line | None:
    fields = entry.split(b"|", _PREFIX_FIELDS + 2)
    if len(fields) != _PREFIX_FIELDS + 3:
        return None
    _, _, user, address, _, _, operation, outcome, rest = fields
    visitor, at_ns = _visitor(user, address), _nanoseconds(time)
    if visitor is None or at_ns is None or outcome != b"ok":
        return None
    if operation == b"create_file":
        parts = rest.split(b"|", 3)
        if len(parts) != _CREATE_FIELDS or parts[1] == b"dir" or not _for_writing(parts[0], parts[2]):
            return None
        return Line(at_ns, visitor, Deed.OPENED, os.fsdecode(parts[3]))
    if operation in (b"renameat", b"rename"):
        breaks = [found.start() for found in re.finditer(rb"\|/", rest)]
        ways = tuple((os.fsdecode(rest[:at]), os.fsdecode(rest[at + 1 :])) for at in breaks)
        return Line(at_ns, visitor, Deed.RENAMED, renames=ways)
    deed = _DEEDS.get(operation)
    return None if deed is None else Line(at_ns, visitor, deed, os.fsdecode(rest))


def _visitor(user: bytes, address: bytes) -> Visitor | None:
    try:
        known = str(ip_address(address.decode("ascii").partition("%")[0]))
    except ValueError:  # UnicodeDecodeError is one
        return None
    name = user.decode("utf-8", "replace")
    return Visitor(name, known) if name and len(name) <= _LONGEST_USER else None


def _nanoseconds(time: bytes) -> int | None:
    whole, _, fraction = time.decode("ascii").partition(".")
    try:
        seconds = datetime.strptime(whole, "%Y/%m/%d %H:%M:%S").timestamp()  # noqa: DTZ007 - Samba writes local time
    except (ValueError, OverflowError, OSError):
        return None
    return int(seconds) * _SECOND + int(fraction.ljust(9, "0") or 0)


def _for_writing(mask: bytes, disposition: bytes) -> bool:
    try:
        return bool(int(mask, 16) & _WRITES) or disposition in _MAKES
    except ValueError:
        return False


@dataclass(slots=True)
class _Trail:
    """What one visitor did to one file, from when it was opened. Times are nanoseconds since 1970."""

    visitor: Visitor
    opened_ns: int
    changed_ns: int = 0
    closed_ns: int = 0
    armed: bool = True
    """The next close may be that of the change; a mere listing closes, too."""
    written: bool = True
    """It was opened or changed, so that it is a file; what was only renamed may be a folder."""

    def explains(self, ctime_ns: int) -> bool:
        """Whether the change that the file's ctime tells of can have been this visitor's."""
        return any(
            -before <= ctime_ns - at_ns <= _AFTER
            for at_ns, before in ((self.opened_ns, _OPENING), (self.changed_ns, _AFTER), (self.closed_ns, _AFTER))
        )


_AFTER: Final = 2 * _SECOND
"""How far the log may be from the change itself: a slow write is logged late, attributes are set a little later."""
_OPENING: Final = _SECOND // 2
_MOST_TRAILS: Final = 4
_NAME_COST: Final = 600
"""Bytes that a remembered name costs besides its own."""


class Trails:
    """Who wrote the files of one inbox. ``roots`` are its absolute paths; ``most_bytes`` bounds the memory, roughly.

    When that is used up, the names that were written to longest ago are forgotten.
    """

    def __init__(self, roots: Sequence[str], *, most_bytes: int = 16 << 20, most_visits: int = 1 << 20) -> None:
        self._roots = tuple(root.rstrip("/") + "/" for root in roots)
        self._most_bytes = most_bytes
        self._most_visits = most_visits
        self._bytes = 0
        self._visits = 0
        self._trails: OrderedDict[str, list[_Trail]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._trails)

    def take_all(self, lines: Sequence[Line]) -> None:
        """Learn from some lines, oldest first."""
        self._visits = 0
        for line in lines:
            self._take(line)

    def who(self, name: str, ctime_ns: int) -> Visitor | None:
        """Whose change explains the ``ctime_ns`` of the file that now has ``name``; None when nobody's does."""
        for trail in reversed(self._trails.get(name, ())):
            if trail.explains(ctime_ns):
                return trail.visitor
        return None

    def forget(self, name: str) -> None:
        """The file of that name is gone."""
        if self._trails.pop(name, None) is not None:
            self._bytes -= _cost(name)

    # -- inside -------------------------------------------------------------------------------------------------

    def _take(self, line: Line) -> None:
        if line.deed is Deed.RENAMED:
            self._rename(line)
        elif (name := self._name(line.path)) is None:
            return
        elif line.deed is Deed.REMOVED:
            self.forget(name)
        else:
            self._visit(name, line)

    def _visit(self, name: str, line: Line) -> None:
        trails = self._trails.get(name)
        if line.deed is Deed.CLOSED:
            if trails and trails[-1].visitor == line.visitor and trails[-1].armed:
                trails[-1].closed_ns, trails[-1].armed = line.at_ns, False
        elif line.deed is Deed.CHANGED and trails and trails[-1].visitor == line.visitor:
            trails[-1].changed_ns, trails[-1].armed = line.at_ns, True
        else:
            self._keep(name, [*(trails or ()), _Trail(line.visitor, line.at_ns)])

    def _rename(self, line: Line) -> None:
        ways = [(self._name(old), self._name(new)) for old, new in line.renames]
        if len(ways) != 1:
            for name in {each for way in ways for each in way if each is not None}:
                self.forget(name)
            return
        old, new = ways[0]
        moved = list(self._trails.get(old, ())) if old is not None else []
        for each in (old, new):
            if each is not None:
                self.forget(each)
        if old is not None and not any(trail.written for trail in moved):
            self._rename_folder(old, new)
        if new is None:
            return
        if moved and moved[-1].visitor == line.visitor:
            moved[-1].changed_ns, moved[-1].armed = line.at_ns, True
        else:
            moved.append(_Trail(line.visitor, line.at_ns, written=False))
        self._keep(new, moved)

    def _rename_folder(self, old: str, new: str | None) -> None:
        """Take along what is known of the files in a folder; a flood of such renames costs the memory."""
        self._visits += len(self._trails)
        if self._visits > self._most_visits:
            self._trails.clear()
            self._bytes = 0
            return
        prefix = old + "/"
        for name in [name for name in self._trails if name.startswith(prefix)]:
            trails = self._trails[name]
            self.forget(name)
            if new is not None:
                self._keep(f"{new}/{name.removeprefix(prefix)}", trails)

    def _keep(self, name: str, trails: list[_Trail]) -> None:
        self.forget(name)
        self._trails[name] = trails[-_MOST_TRAILS:]
        self._bytes += _cost(name)
        while self._bytes > self._most_bytes:
            self.forget(next(iter(self._trails)))

    def _name(self, path: str) -> str | None:
        """The name relative to the inbox; None when it is not in there."""
        for root in self._roots:
            if path.startswith(root) and len(path) < _LONGEST:
                name = path.removeprefix(root)
                return name if name and ".." not in name.split("/") else None
        return None


def _cost(name: str) -> int:
    return len(name) + _NAME_COST

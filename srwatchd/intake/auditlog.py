"""Following the files that Samba's ``full_audit`` writes: across rotation, a bounded piece at a time, without a hold.

A log is one path, or a pattern such as ``/var/log/samba/log.*`` (one file per client). What was rotated away is
followed by its inode as long as it lies beside, as ``log.old``, ``log.1`` or ``log-20261122``; compressed files are
not read. Nothing here raises for what is wrong with a log: :attr:`AuditLog.problem` says it, and files are attributed
to their owners meanwhile.
"""

from __future__ import annotations

import fnmatch
import os
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from srwatchd.intake.owners import own_name
from srwatchd.intake.samba import Splitter, last_time

if TYPE_CHECKING:
    from pathlib import Path

    from srwatchd.intake.samba import Line, Trails

__all__ = ["AuditLog"]

_AT_ONCE: Final = 1 << 20
_MOST_BEHIND: Final = 4 << 20
"""Bytes read in one go, and how far behind everything but the last of such pieces is skipped."""
_MOST_FILES: Final = 256
_COMPRESSED: Final = (".gz", ".xz", ".bz2", ".zst", ".lz4", ".lzo")
_FLAGS: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

_Key = tuple[int, int]
"""Device and inode."""


@dataclass(slots=True)
class _Followed:
    """How far one file has been read."""

    offset: int = 0
    splitter: Splitter = field(default_factory=Splitter)


class AuditLog:
    """The log that tells of one inbox. Blocks; used in the folder's lane."""

    def __init__(self, pattern: Path, trails: Trails) -> None:
        self.problem = ""
        """Why nothing can be read, with the remedy; "" while all is well."""
        self.skew: float | None = None
        """How far the times in the log are from those of its files, in seconds: another time zone, if it is much."""
        self._pattern = pattern
        self._trails = trails
        self._followed: dict[_Key, _Followed] = {}

    def catch_up(self) -> None:
        """Read all that there is to read, some megabytes at most; for the beginning."""
        for _ in range(_MOST_BEHIND // _AT_ONCE + 1):
            if not self.refresh():
                break

    def refresh(self) -> bool:
        """Read what was written since the last time, at most a megabyte, into the trails; whether that was the most."""
        problems: list[str] = []
        found = self._find(problems)
        lines: list[Line] = []
        budget = _AT_ONCE
        for path, seen in found:
            read = self._read(path, seen, budget, lines, problems)
            budget = max(0, budget - read)
        present = {(seen.st_dev, seen.st_ino) for _, seen in found}
        self._followed = {key: each for key, each in self._followed.items() if key in present}
        lines.sort(key=lambda line: line.at_ns)  # the files of several clients tell one story
        self._trails.take_all(lines)
        self.problem = problems[0] if problems else ""
        return budget <= 0

    # -- inside -------------------------------------------------------------------------------------------------

    def _find(self, problems: list[str]) -> list[tuple[str, os.stat_result]]:
        """The files to read, the latest written first."""
        folder, base = os.path.split(self._pattern)
        try:
            names = [name for name in os.listdir(folder) if _belongs(name, base)]
        except PermissionError:  # a folder that may be entered and not listed
            names = [base]
        except OSError as error:
            problems.append(_cannot_read(folder, error))
            return []
        found = []
        for name in names:
            path = os.path.join(folder, name)
            try:
                seen = os.stat(path)
            except FileNotFoundError:
                continue
            except OSError as error:
                problems.append(_cannot_read(path, error))
                continue
            if stat.S_ISREG(seen.st_mode):
                found.append((path, seen))
        if not found and not problems:
            problems.append(
                f"no Samba audit log {str(self._pattern)!r} is there yet: Samba makes it when the first client "
                "connects; if it stays so, compare source.samba_audit_log with `log file` in smb.conf"
            )
        found.sort(key=lambda each: -each[1].st_mtime_ns)
        return found[:_MOST_FILES]

    def _read(self, path: str, seen: os.stat_result, budget: int, lines: list[Line], problems: list[str]) -> int:
        """Read on in one file; how many bytes were read."""
        key = (seen.st_dev, seen.st_ino)
        followed = self._followed.get(key)
        if followed is None or seen.st_size < followed.offset:  # new, or truncated in place
            followed = self._followed[key] = _Followed()
        if seen.st_size - followed.offset > _MOST_BEHIND:
            followed.offset, followed.splitter = seen.st_size - _AT_ONCE, Splitter(cut=True)
        if seen.st_size == followed.offset or budget <= 0:
            return 0
        try:
            data = _piece(path, key, followed.offset, budget)
        except OSError as error:
            problems.append(_cannot_read(path, error))
            return 0
        if data is None:
            return 0
        followed.offset += len(data)
        if followed.offset >= seen.st_size and (last := last_time(data)) is not None:
            self.skew = last - seen.st_mtime
        lines += followed.splitter.feed(data, end=followed.offset >= seen.st_size)
        return len(data)


def _belongs(name: str, base: str) -> bool:
    if name.endswith(_COMPRESSED):
        return False
    if "*" in base:
        return fnmatch.fnmatchcase(name, base)
    return name == base or name.startswith((base + ".", base + "-"))


def _piece(path: str, key: _Key, offset: int, size: int) -> bytes | None:
    """Bytes of exactly the file that was found under ``path``; None when another one has its name now."""
    descriptor = os.open(path, _FLAGS)
    try:
        seen = os.fstat(descriptor)
        return os.pread(descriptor, size, offset) if (seen.st_dev, seen.st_ino) == key else None
    finally:
        os.close(descriptor)


def _cannot_read(path: str, error: OSError) -> str:
    if isinstance(error, PermissionError):
        return f"{own_name()} may not read the Samba audit log {path!r}: give it read permission, by a common group"
    return f"the Samba audit log {path!r} cannot be read: {error.strerror}"

"""The files of a ledger: how they are named, found, read line by line, and begun.

``audit.jsonl`` is written to; a full segment is renamed to ``audit.<first sequence, 12 digits>.jsonl`` beside it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from typing import TYPE_CHECKING, BinaryIO, Final

from srwatchd.audit.chain import MAX_LINE
from srwatchd.storage import STAGING_PREFIX, rename_exclusive

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = [
    "begin_segment",
    "closed_name",
    "closed_segments",
    "first_sequence",
    "lines_of",
    "open_segment",
    "segments",
    "write_whole",
]

_MODE: Final = 0o640
_PIECE: Final = 1 << 16


def _pattern(path: Path) -> re.Pattern[str]:
    return re.compile(rf"{re.escape(path.stem)}\.([0-9]{{12}})(?:-([0-9]{{1,3}}))?{re.escape(path.suffix)}")


def closed_name(path: Path, first: int, *, attempt: int = 0) -> str:
    """The name of the closed segment that begins with sequence ``first``.

    ``attempt`` above 0 is for a name that is taken, which only happens after somebody meddled.
    """
    return f"{path.stem}.{first:012d}{f'-{attempt}' if attempt else ''}{path.suffix}"


def first_sequence(path: Path, name: str) -> int | None:
    """The first sequence that a closed segment's name states; None for any other name."""
    found = _pattern(path).fullmatch(name)
    return None if found is None else int(found[1])


def closed_segments(path: Path) -> list[Path]:
    """The closed segments of the ledger at ``path``, oldest first; retention may retire the first of them."""
    pattern = _pattern(path)
    found: list[tuple[int, int, Path]] = []
    with contextlib.suppress(FileNotFoundError), os.scandir(path.parent) as entries:
        for entry in entries:
            match = pattern.fullmatch(entry.name)
            if match is not None:
                found.append((int(match[1]), int(match[2] or 0), path.parent / entry.name))
    return [segment for _, _, segment in sorted(found)]


def segments(path: Path) -> list[Path]:
    """All segments, oldest first, the one that is written to last."""
    return [*closed_segments(path), *([path] if os.path.lexists(path) else [])]


def open_segment(name: str | Path, *, dir_fd: int | None = None, write: bool = False) -> int:
    """A descriptor of a segment: a plain file, never through a link. Raises :class:`OSError`."""
    access = os.O_RDWR | os.O_APPEND if write else os.O_RDONLY
    descriptor = os.open(name, access | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=dir_fd)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a plain file", str(name))
    return descriptor


def lines_of(file: BinaryIO) -> Iterator[bytes]:
    """The lines of a segment, newline included, in bounded memory.

    Of a line longer than :data:`~srwatchd.audit.chain.MAX_LINE` only the beginning is given, one byte too long, so that
    :func:`~srwatchd.audit.chain.parse` refuses it.
    """
    while raw := file.readline(MAX_LINE + 1):
        yield raw
        if len(raw) > MAX_LINE:
            while not raw.endswith(b"\n") and (raw := file.readline(_PIECE)):
                pass


def begin_segment(path: Path, line: bytes, *, dir_fd: int, closing: str | None) -> int:
    """Begin a new segment with its first line and give its descriptor, opened for appending.

    ``closing`` is the name that the present one is renamed to first; None when there is none. The new file is
    complete and durable before anything is renamed, so that a full disk changes nothing. A crash between the renames
    leaves no ``audit.jsonl``, which opening a ledger repairs. Raises :class:`OSError`.
    """
    staged = f"{STAGING_PREFIX}{path.name}.tmp"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(staged, dir_fd=dir_fd)
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(staged, flags, _MODE, dir_fd=dir_fd)
    try:
        os.fchmod(descriptor, _MODE)
        write_whole(descriptor, line)
        os.fsync(descriptor)
        if closing is not None:
            rename_exclusive(path.name, closing, source_fd=dir_fd, target_fd=dir_fd)
        rename_exclusive(staged, path.name, source_fd=dir_fd, target_fd=dir_fd)
        os.fsync(dir_fd)
    except OSError:
        os.close(descriptor)
        with contextlib.suppress(OSError):
            os.unlink(staged, dir_fd=dir_fd)
        raise
    return descriptor


def write_whole(descriptor: int, data: bytes) -> None:
    """One write of all of ``data``; a short one, which a full disk makes, is an :class:`OSError` like a failed one."""
    if os.write(descriptor, data) != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

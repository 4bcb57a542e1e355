"""Files that are kept while there is room: the ones that nobody asked for longest go first.

A file appears under its name whole or not at all. What is half-way has a hidden name and is swept when the shelf is
opened the next time. Nothing here is durable, for all of it can be made again. Every method blocks.
"""

from __future__ import annotations

import contextlib
import os
import threading
from typing import TYPE_CHECKING, Final

from srwatchd.storage import STAGING_PREFIX, host_errors, open_directory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Shelf"]

_MODE: Final = 0o700
_FILE_MODE: Final = 0o600
_ROOM: Final = 0.9
"""So full a shelf is left when files had to go, so that not every new one looks through all."""


class Shelf:
    """At most ``most`` bytes of files in ``folder``, which is made if need be. For several threads."""

    def __init__(self, folder: Path, most: int) -> None:
        self._folder = folder
        self._most = most
        self._lock = threading.Lock()
        self._number = 0
        self.used: int | None = None
        """Bytes of all files; None before the first look."""

    def find(self, *names: str) -> tuple[str, int] | None:
        """The first of ``names`` that is there, and a descriptor for reading, the caller's own; it counts as used."""
        for name in names:
            with contextlib.suppress(OSError):
                descriptor = os.open(self._folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
                with contextlib.suppress(OSError):
                    os.utime(descriptor)
                return name, descriptor
        return None

    def prepare(self) -> None:
        """Make the folder, sweep it and count what is there, once. To be called before anything is staged."""
        with host_errors(self._folder, "looking at the renditions in"), self._lock:
            if self.used is None:
                self._open()

    def staged(self) -> tuple[str, int]:
        """A new hidden file: its name and a descriptor. It is to be given to :meth:`keep` or :meth:`drop`."""
        with host_errors(self._folder, "making a rendition in"):
            with self._lock:
                self._number += 1
                name = f"{STAGING_PREFIX}{os.getpid()}-{self._number}.tmp"
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            return name, os.open(self._folder / name, flags, _FILE_MODE)

    def keep(self, staged: str, name: str) -> None:
        """Give a staged file its name, in the place of one that has it. May let the oldest files go, this one never."""
        with host_errors(self._folder, "keeping a rendition in"), self._lock:
            before = self._size(name)
            os.rename(self._folder / staged, self._folder / name)
            self.used = (self.used or 0) + self._size(name) - before
            if self.used > self._most:
                self._make_room(name)

    def drop(self, staged: str) -> None:
        """Remove a staged file."""
        with contextlib.suppress(OSError):
            os.unlink(self._folder / staged)

    # -- inside; the lock is held --------------------------------------------------------------------------------

    def _open(self) -> None:
        """Make the folder, sweep what was half-way, count the rest, and let go what is too much."""
        self._folder.parent.mkdir(mode=_MODE, parents=True, exist_ok=True)
        self._folder.mkdir(mode=_MODE, exist_ok=True)
        os.close(open_directory(self._folder))
        for name, _, _ in self._files():
            if name.startswith(STAGING_PREFIX):
                self.drop(name)
        self.used = sum(size for _, size, _ in self._files())
        if self.used > self._most:
            self._make_room("")

    def _make_room(self, latest: str) -> None:
        used = 0
        oldest = sorted(self._files(), key=lambda each: each[2])
        used = sum(size for _, size, _ in oldest)
        for name, size, _ in oldest:
            if used <= self._most * _ROOM:
                break
            if name != latest and not name.startswith(STAGING_PREFIX):
                with contextlib.suppress(OSError):
                    os.unlink(self._folder / name)
                    used -= size
        self.used = used

    def _files(self) -> Iterator[tuple[str, int, int]]:
        """Name, bytes and time of last use of every file."""
        with os.scandir(self._folder) as entries:
            for entry in list(entries):
                with contextlib.suppress(OSError):
                    facts = entry.stat(follow_symlinks=False)
                    yield entry.name, facts.st_size, facts.st_mtime_ns

    def _size(self, name: str) -> int:
        try:
            return os.stat(self._folder / name, follow_symlinks=False).st_size
        except OSError:
            return 0

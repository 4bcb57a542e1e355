"""Retention on the disk: which files of a place are oldest, and their removal. Blocks; made to be used in small slices.

Nothing is opened, no link is followed, no other mount and no other place is entered, and everything is done relative to
directories that were walked to one component at a time. Left alone: names that begin with a dot, what is no plain file,
and every file that is younger than :data:`SAFETY`, so that nothing goes that is being written or was just delivered. In
an error folder a sidecar goes with its picture; one whose picture has gone is a file like any other.
"""

from __future__ import annotations

import contextlib
import heapq
import json
import os
import stat
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from srwatchd.delivery.names import SIDECAR_SUFFIX, sidecar_name, split
from srwatchd.storage import host_errors, open_beneath, open_directory, sync_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator
    from pathlib import Path

__all__ = ["MOST", "SAFETY", "OldFile", "Survey"]

SAFETY: Final = 600.0
"""Seconds; whatever the rules say, nothing younger is removed."""
MOST: Final = 20_000
"""How many of the oldest files a survey remembers; the next survey finds the next ones."""

_LARGEST: Final = 1 << 20


@dataclass(frozen=True, slots=True, order=True)
class OldFile:
    """A file as a survey saw it: ``age`` in seconds, ``name`` relative to its place, ``size`` with its sidecar."""

    age: float
    name: str
    size: int
    inode: int
    mtime_ns: int
    ctime_ns: int


class Survey:
    """One walk over the place ``root``, slice by slice with :meth:`step`. ``age`` says how old a time stamp is.

    ``foreign`` are device and inode of directories that are other places and not entered. ``sidecars``: it is an error
    folder. Afterwards ``total`` is the size of everything in bytes, ``oldest`` the oldest files, oldest first, and
    ``more`` says that there are others.
    """

    def __init__(
        self,
        root: Path,
        *,
        age: Callable[[float], float],
        foreign: Collection[tuple[int, int]] = (),
        sidecars: bool = False,
        most: int = MOST,
    ) -> None:
        self.root = root
        self.total = 0
        self.more = False
        self.oldest: list[OldFile] = []
        self._age = age
        self._foreign = frozenset(foreign)
        self._sidecars = sidecars
        self._most = most
        with host_errors(root, "opening"):
            self._root_fd = open_directory(root)
        self._device = os.fstat(self._root_fd).st_dev
        self._walk = self._entries()

    def close(self) -> None:
        """Give the place back."""
        self._walk.close()
        if self._root_fd >= 0:
            os.close(self._root_fd)
            self._root_fd = -1

    def step(self, seconds: float) -> bool:
        """Go on for about ``seconds``; True when all has been seen. Raises HostError when the place cannot be read."""
        until = time.monotonic() + seconds
        with host_errors(self.root, "looking through"):
            for seen in self._walk:
                if seen is not None:
                    self._take(seen)
                if time.monotonic() >= until:
                    return False
        self.oldest.sort(reverse=True)
        return True

    def remove(self, file: OldFile) -> bool:
        """Remove ``file``, and its sidecar; False when it is not there any more, or not as it was. Raises OSError.

        Durable after :meth:`settle`.
        """
        folder, base = split(file.name)
        try:
            with open_beneath(self._root_fd, folder) as here:
                seen = os.stat(base, dir_fd=here, follow_symlinks=False)
                if not stat.S_ISREG(seen.st_mode) or _identity(seen) != (file.inode, file.mtime_ns, file.ctime_ns):
                    return False
                os.unlink(base, dir_fd=here)
                if self._sidecars and not base.endswith(SIDECAR_SUFFIX):
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(sidecar_name(base), dir_fd=here)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def settle(self, names: Collection[str]) -> None:
        """Make the removal of ``names`` durable, and remove the folders that it left empty; never the place itself."""
        folders = {split(name)[0] for name in names}
        for folder in sorted(folders, key=len, reverse=True):
            name = folder
            with contextlib.suppress(OSError):
                with open_beneath(self._root_fd, folder) as here:
                    sync_directory(here)
                while name:
                    above, base = split(name)
                    with open_beneath(self._root_fd, above) as here:
                        os.rmdir(base, dir_fd=here)
                    name = above

    def sha256(self, file: OldFile) -> str | None:
        """The hash of a quarantined file, which its sidecar tells; None where nothing does."""
        if not self._sidecars:
            return None
        folder, base = split(sidecar_name(file.name))
        with contextlib.suppress(OSError, ValueError), open_beneath(self._root_fd, folder) as here:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            with open(os.open(base, flags, dir_fd=here), "rb") as sidecar:
                told = json.loads(sidecar.read(_LARGEST))
            return str(told["sha256"]) if isinstance(told, dict) and told.get("sha256") else None
        return None

    def _entries(self) -> Generator[OldFile | None, None, None]:
        """Every file that may go, or None for one that may not, or for a directory; sizes are added on the way."""
        pending = [""]
        while pending:
            relative = pending.pop()
            try:
                with open_beneath(self._root_fd, relative) as here:
                    yield from self._directory(here, relative, pending)
            except OSError:
                if not relative:
                    raise

    def _directory(self, here: int, relative: str, pending: list[str]) -> Generator[OldFile | None, None, None]:
        if not self._ours(here, top=not relative):
            return
        prefix = f"{relative}/" if relative else ""
        with os.scandir(here) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                with contextlib.suppress(OSError):  # what went meanwhile, or is damaged, is nobody's to remove
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(prefix + entry.name)
                    elif entry.is_file(follow_symlinks=False):
                        yield self._file(entry, here, prefix)
                        continue
                yield None

    def _ours(self, here: int, *, top: bool) -> bool:
        seen = os.fstat(here)
        return top or (seen.st_dev == self._device and (seen.st_dev, seen.st_ino) not in self._foreign)

    def _file(self, entry: os.DirEntry[str], here: int, prefix: str) -> OldFile | None:
        seen = entry.stat(follow_symlinks=False)
        self.total += seen.st_size
        size = seen.st_size
        if self._sidecars:
            if entry.name.endswith(SIDECAR_SUFFIX) and _there(entry.name.removesuffix(SIDECAR_SUFFIX), here):
                return None
            if (reason := _there(sidecar_name(entry.name), here)) is not None:
                size += reason.st_size
        age = self._age(_stamp(seen, self._age))
        if age < SAFETY:
            return None
        return OldFile(age, prefix + entry.name, size, *_identity(seen))

    def _take(self, file: OldFile) -> None:
        """Keep it if it is among the oldest."""
        if len(self.oldest) < self._most:
            heapq.heappush(self.oldest, file)
        else:
            heapq.heappushpop(self.oldest, file)
            self.more = True


def _stamp(seen: os.stat_result, age: Callable[[float], float]) -> float:
    """When the file was put there: its last change of any kind; a content from the future is a client's invention."""
    if age(seen.st_mtime) > 0.0:
        return max(seen.st_mtime, seen.st_ctime)
    return seen.st_ctime


def _identity(seen: os.stat_result) -> tuple[int, int, int]:
    return seen.st_ino, seen.st_mtime_ns, seen.st_ctime_ns


def _there(name: str, here: int) -> os.stat_result | None:
    with contextlib.suppress(OSError):
        return os.stat(name, dir_fd=here, follow_symlinks=False)
    return None

"""The truth about a hot folder: every file that is there now, whatever the kernel reported or lost."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, Final

from srwatchd.errors import HostError
from srwatchd.intake.look import snapshot_of
from srwatchd.intake.names import enters, wanted
from srwatchd.intake.owners import own_name
from srwatchd.storage import host_errors, open_beneath

if TYPE_CHECKING:
    from collections.abc import Iterator

    from srwatchd.intake.folder import HotFolder
    from srwatchd.intake.inbox import Inbox
    from srwatchd.job import Snapshot

__all__ = ["Scan", "scan"]

_GONE: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
_MOST_PROBLEMS: Final = 1000


class Scan:
    """One pass over an inbox. Iterate it once; ``problems`` is complete when the iteration has ended.

    One directory is open at a time, so neither depth nor breadth costs descriptors, and the snapshots are made one by
    one. A name that appears or goes meanwhile may or may not be seen.
    """

    def __init__(self, inbox: Inbox, folder: HotFolder, *, below: str = "") -> None:
        self._inbox = inbox
        self._folder = folder
        self._below = below
        self.problems: list[HostError] = []

    def __iter__(self) -> Iterator[Snapshot]:
        if self._below and not enters(self._below, self._folder):
            return
        pending = [self._below]
        while pending:
            relative = pending.pop()
            try:
                with open_beneath(self._inbox.root_fd, relative) as descriptor:
                    yield from self._directory(descriptor, relative, pending)
            except OSError as error:
                self._note(error, relative)

    def _directory(self, descriptor: int, relative: str, pending: list[str]) -> Iterator[Snapshot]:
        prefix = f"{relative}/" if relative else ""
        with os.scandir(descriptor) as entries:
            for entry in entries:
                name = prefix + entry.name
                try:
                    if entry.is_dir(follow_symlinks=False):
                        if enters(name, self._folder):
                            pending.append(name)
                        continue
                    if not wanted(name, self._folder):
                        continue
                    seen = entry.stat(follow_symlinks=False)
                except PermissionError:  # of the directory, so of all that is in it
                    raise
                except OSError as error:
                    self._pass_over(error, name)
                    continue
                if stat.S_ISREG(seen.st_mode):
                    yield snapshot_of(name, seen)

    def _pass_over(self, error: OSError, name: str) -> None:
        """One entry that cannot be looked at, on a damaged file system, hides no other."""
        if error.errno not in _GONE and len(self.problems) < _MOST_PROBLEMS:
            path = str(self._inbox.root / name)
            self.problems.append(HostError("io_error", f"cannot look at {path!r}: {error.strerror}", path=path))

    def _note(self, error: OSError, relative: str) -> None:
        """A folder that went meanwhile is no problem; the inbox itself must be readable."""
        path = self._inbox.root / relative
        if not relative:
            with host_errors(path, "cannot list the inbox"):
                raise error
        if error.errno in _GONE or len(self.problems) >= _MOST_PROBLEMS:
            return
        if isinstance(error, PermissionError):
            message = f"{own_name()} may not list the folder {str(path)!r}: give it read and execute permission"
            self.problems.append(HostError("source_unreadable", message, path=str(path)))
        else:
            self.problems.append(HostError("io_error", f"cannot list {str(path)!r}: {error.strerror}", path=str(path)))


def scan(inbox: Inbox, folder: HotFolder, *, below: str = "") -> Scan:
    """Every wanted regular file of the inbox, or of its sub folder ``below``, as snapshots.

    Never follows a link and never crosses into ``.srwatchd``; sizes are not judged here. Sub folders that cannot be
    listed and files that cannot be looked at are collected in ``.problems``, at most a thousand; raises HostError when
    the inbox itself cannot be listed.
    """
    return Scan(inbox, folder, below=below)

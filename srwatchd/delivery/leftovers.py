"""Hidden names of staged files, who uses one, and the removal of those that nobody uses any more."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import stat
from typing import TYPE_CHECKING, Final

from srwatchd.storage import STAGING_PREFIX

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["PURPOSES", "lock", "remove_leftovers", "staged_name"]

PURPOSES: Final = frozenset({"result", "source", "sidecar"})
"""What a job can have staged at one time in one folder."""

_PRIVATE: Final = ".srwatchd"
_JOB: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_STAGED: Final = re.compile(rf"{re.escape(STAGING_PREFIX)}({_JOB.pattern})\.({'|'.join(sorted(PURPOSES))})")


def staged_name(job: str, purpose: str) -> str:
    """The hidden name of a job's file. Raises ValueError for an id that is not 1 to 64 of ``A-Z a-z 0-9 _ -``."""
    if purpose not in PURPOSES or not _JOB.fullmatch(job):
        raise ValueError(f"no staged file is called after job {job!r} and purpose {purpose!r}")
    return f"{STAGING_PREFIX}{job}.{purpose}"


def lock(descriptor: int) -> None:
    """Mark a staged file as in use until it is closed everywhere; a file system without locks does without."""
    with contextlib.suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def remove_leftovers(root_fd: int, live: Collection[str]) -> list[str]:
    """Remove the staged files below ``root_fd`` whose job is not in ``live``; returns their relative names.

    Walks without following links and leaves the private folder of an inbox alone. What is locked or cannot be removed
    stays.
    """
    removed: list[str] = []
    for folder, folders, files, folder_fd in os.fwalk(".", dir_fd=root_fd):
        folders[:] = [name for name in folders if name != _PRIVATE]
        relative = folder.removeprefix(".").removeprefix("/")
        for name in files:
            staged = _STAGED.fullmatch(name)
            if staged is None or staged[1] in live:
                continue
            if _remove_unlocked(name, dir_fd=folder_fd):
                removed.append(f"{relative}/{name}" if relative else name)
    return removed


def _remove_unlocked(name: str, *, dir_fd: int) -> bool:
    """Remove a staged file unless it is in use, is no plain file, or cannot be removed."""
    with contextlib.suppress(OSError):
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=dir_fd)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode) or _in_use(descriptor):
                return False
            os.unlink(name, dir_fd=dir_fd)
            return True
        finally:
            os.close(descriptor)
    return False


def _in_use(descriptor: int) -> bool:
    """Whether somebody holds the lock; without locks the caller's word that the job is dead decides."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False

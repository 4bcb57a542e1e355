"""Holds: a folder (or the whole service) is paused because the host is at fault, and taken up again by itself."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import Any, Final

from srwatchd.errors import HostError
from srwatchd.retry import delay

__all__ = ["Hold"]

_FIRST_SECONDS: Final = 1.0
_LONGEST_SECONDS: Final = 30.0
_LET_THROUGH: Final = 10


@dataclass(frozen=True, slots=True)
class Hold:
    """Why work stands still, since when, and when the cause is looked at again (monotonic seconds)."""

    code: str
    message: str
    hint: str
    path: str
    since: str
    tries: int
    next_look: float
    free: tuple[int, int] = (0, 0)
    """Bytes and inodes that were free at ``path`` when it was full."""

    @classmethod
    def from_error(cls, error: HostError, *, now: float, at: str, before: Hold | None = None) -> Hold:
        """The hold for ``error``; one that follows ``before`` keeps its start and waits longer."""
        tries = 1 if before is None else before.tries + 1
        wait = delay(tries, initial=_FIRST_SECONDS, maximum=_LONGEST_SECONDS)
        since = at if before is None else before.since
        free = _free(error.path) if error.code == "disk_full" else (0, 0)
        return cls(error.code, error.message, error.hint, error.path, since, tries, now + wait, free)

    def check(self) -> None:
        """Raise the HostError again while a full disk has nothing more free than when it was full.

        Every tenth time it is let through all the same, in case that others used up what was freed.
        """
        if self.code != "disk_full" or self.tries % _LET_THROUGH == 0:
            return
        if not any(now > before for now, before in zip(_free(self.path), self.free, strict=True)):
            raise HostError(self.code, self.message, hint=self.hint, path=self.path)

    def to_dict(self) -> dict[str, Any]:
        """What the status and the ledger show."""
        return {"code": self.code, "message": self.message, "hint": self.hint, "path": self.path, "since": self.since}


def _free(path: str) -> tuple[int, int]:
    """Bytes and inodes free on the file system of ``path`` or of the nearest folder above it that exists."""
    while path:
        with contextlib.suppress(OSError):
            space = os.statvfs(path)
            return space.f_bavail * space.f_frsize, space.f_favail
        path = path.rpartition("/")[0]
    return 0, 0

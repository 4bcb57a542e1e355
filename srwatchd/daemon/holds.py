"""Holds: a folder (or the whole service) is paused because the host is at fault, and taken up again by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from srwatchd.retry import delay

if TYPE_CHECKING:
    from srwatchd.errors import HostError

__all__ = ["Hold"]

_FIRST_SECONDS: Final = 1.0
_LONGEST_SECONDS: Final = 30.0


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
    free: int = 0
    """Bytes that were free at ``path`` when it was full; work goes on when there are more."""

    @classmethod
    def from_error(cls, error: HostError, *, now: float, at: str, before: Hold | None = None, free: int = 0) -> Hold:
        """The hold for ``error``; one that follows ``before`` keeps its start and waits longer."""
        tries = 1 if before is None else before.tries + 1
        wait = delay(tries, initial=_FIRST_SECONDS, maximum=_LONGEST_SECONDS)
        since = at if before is None else before.since
        return cls(error.code, error.message, error.hint, error.path, since, tries, now + wait, free)

    def to_dict(self) -> dict[str, Any]:
        """What the status and the ledger show."""
        return {"code": self.code, "message": self.message, "hint": self.hint, "path": self.path, "since": self.since}

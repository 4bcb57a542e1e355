"""Hints: what the kernel says may have happened in a hot folder. A scan is the truth."""

from __future__ import annotations

import enum
from dataclasses import dataclass

__all__ = ["Hint", "HintKind"]


class HintKind(enum.Enum):
    """What the kernel reported."""

    CLOSED = "closed"
    """A writer closed the file."""
    MOVED = "moved"
    """The file was renamed to this name."""
    CREATED = "created"
    """The name appeared; nothing is said about the content."""
    DIRECTORY = "directory"
    """A directory appeared or was moved in; what lies below it may never be reported."""
    OVERFLOW = "overflow"
    """Events were lost: only a scan helps."""


@dataclass(frozen=True, slots=True)
class Hint:
    """One event. ``name`` is relative to the inbox, "" for :attr:`HintKind.OVERFLOW`."""

    kind: HintKind
    name: str = ""

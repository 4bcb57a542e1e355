"""What an examination says about one thing. Pure."""

from __future__ import annotations

import enum
from dataclasses import dataclass

__all__ = ["Finding", "Level", "gib", "ok", "problem", "warning"]

_GIB = 1 << 30


class Level(enum.Enum):
    """How bad it is: ``problem`` stops work or will, ``warning`` is worse than it need be."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    ``topic`` is what kind of thing, ``subject`` which, ``found`` what was there, ``remedy`` what a person can do about
    it ("" when nothing is to be done).
    """

    topic: str
    subject: str
    level: Level
    found: str
    remedy: str = ""


def ok(topic: str, subject: str, found: str) -> Finding:
    """As it should be."""
    return Finding(topic, subject, Level.OK, found)


def warning(topic: str, subject: str, found: str, remedy: str) -> Finding:
    """Work goes on, but worse than it could."""
    return Finding(topic, subject, Level.WARNING, found, remedy)


def problem(topic: str, subject: str, found: str, remedy: str) -> Finding:
    """Work does not go on, or not safely."""
    return Finding(topic, subject, Level.PROBLEM, found, remedy)


def gib(size: int) -> str:
    """``size`` bytes for people."""
    return f"{size / _GIB:.1f} GiB"

"""What every part is given, and what it gives back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["Bench", "Row", "Section", "Target"]

Row = dict[str, Any]
"""What was seen of one case: ``key`` names it within its part, the rest is plain figures for JSON."""


@dataclass(frozen=True, slots=True)
class Bench:
    """Room to work in (a local disk), the command under test, photographs, and how much is to be done.

    ``only`` keeps the cases whose key, with a space after it, contains it.
    """

    work: Path
    command: tuple[str, ...]
    photos: tuple[Path, ...] = ()
    quick: bool = False
    only: str = ""

    def many(self, long: int, *, quick: int) -> int:
        """How many of something, in this kind of run."""
        return quick if self.quick else long

    def wants(self, key: str) -> bool:
        """Whether a case is to be run."""
        return self.only in f"{key} "


@dataclass(frozen=True, slots=True)
class Target:
    """What was asked for and what was reached; ``met`` is None where it could not be measured, ``why`` then says so."""

    what: str
    wanted: str
    reached: str
    met: bool | None
    why: str = ""

    @property
    def verdict(self) -> str:
        """In a word or a sentence."""
        return "met" if self.met else self.why or "missed" if self.met is not None else f"not measured: {self.why}"


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page: Markdown by the name of its place, plots by their file's name, targets."""

    texts: Mapping[str, str] = field(default_factory=dict)
    plots: Mapping[str, str] = field(default_factory=dict)
    targets: Sequence[Target] = ()

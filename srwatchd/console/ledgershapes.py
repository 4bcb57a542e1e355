"""What the console's API says of the ledger."""

from typing import Any, Literal

from srwatchd.console.shapes import Shape

__all__ = ["LedgerLine", "LedgerLines", "LedgerState", "Segment", "Verification"]


class LedgerLine(Shape):
    """One line of the ledger, as it was written."""

    sequence: int
    at: str
    action: str
    outcome: str
    job: str | None
    hash: str
    fields: dict[str, Any]


class LedgerLines(Shape):
    """A page of the ledger, newest first; ``before`` of the next page is ``next``, null at the beginning."""

    lines: list[LedgerLine]
    next: int | None


class Verification(Shape):
    """A run of `srwatchd audit verify`, and what it said."""

    state: Literal["running", "whole", "broken", "unchecked", "failed"]
    started: str
    ended: str | None = None
    lines: int | None = None
    faults: int | None = None
    message: str | None = None
    by: str | None = None
    """The user who asked for it."""


class Segment(Shape):
    """One file of the ledger."""

    file: str
    size: int
    first_sequence: int | None


class LedgerState(Shape):
    """The end of the chain, its files, and the last verification that this console was asked for."""

    last_sequence: int
    last_hash: str | None
    last_at: str | None
    segments: list[Segment]
    verification: Verification | None

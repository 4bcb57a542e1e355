"""The pen that writes placements into the record of a job, before the file moves."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from srwatchd.intake.claims import Claims
    from srwatchd.job import Placement, Record

__all__ = ["Pen"]


class Pen:
    """Writes placements into a record and keeps it as it was saved last; each is durable on return."""

    def __init__(self, record: Record, claims: Claims) -> None:
        self.record = record
        self._claims = claims

    def result(self, placement: Placement) -> None:
        """Where the result is about to be."""
        self._save(replace(self.record, result=placement))

    def source(self, placement: Placement) -> None:
        """Where the source is about to be."""
        self._save(replace(self.record, source=placement))

    def _save(self, record: Record) -> None:
        self._claims.save(record)
        self.record = record

"""Checkpoints: the end of the chain, kept somewhere else, so that a cut tail or a rewritten chain shows."""

from __future__ import annotations

import enum
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from srwatchd.audit.chain import Line, LineError, parse
from srwatchd.audit.segments import first_sequence, lines_of, open_segment, segments

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Agreement", "Checkpoint", "check_against", "checkpoint"]


class Agreement(enum.StrEnum):
    """How a ledger stands to a checkpoint. Only ``SAME`` proves anything good."""

    SAME = "same"
    """The line of the checkpoint is there, as it was, and was not the victim of a later rewrite."""
    CUT = "cut"
    """The ledger ends before the checkpoint: its tail was removed, or the ledger was begun anew."""
    REWRITTEN = "rewritten"
    """The line with the checkpoint's sequence is another one, or is missing."""
    RETIRED = "retired"
    """The line lay in a segment that retention has removed: use a newer checkpoint."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One line of the chain: its sequence, its hash, the segment it stood in, and its time."""

    sequence: int
    hash: str
    segment: str
    at: str

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "version": 1,
            "sequence": self.sequence,
            "hash": self.hash,
            "segment": self.segment,
            "at": self.at,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Checkpoint:
        """The inverse of :meth:`to_dict`; raises KeyError or ValueError for anything else."""
        if data["version"] != 1:
            raise ValueError(f"checkpoint version {data['version']!r} is not known")
        return cls(int(data["sequence"]), str(data["hash"]), str(data["segment"]), str(data["at"]))


def checkpoint(path: Path) -> Checkpoint | None:
    """The last whole line of the ledger at ``path``; None when there is none. Raises :class:`OSError`."""
    for segment in reversed(segments(path)):
        last = None
        for last in _lines(segment):  # noqa: B007  # only the last one counts
            pass
        if last is not None:
            return Checkpoint(last.sequence, last.hash, segment.name, last.text("@timestamp"))
    return None


def check_against(path: Path, kept: Checkpoint) -> Agreement:
    """Hold the ledger at ``path`` against a checkpoint that was ``kept`` elsewhere.

    It only says that this one line is the same; together with ``verify`` that covers every line before it.
    """
    here = segments(path)
    first = next((line.sequence for segment in here for line in _lines(segment)), None)
    if first is None:
        return Agreement.CUT
    if kept.sequence < first:
        return Agreement.RETIRED
    last = 0
    for segment in _from_segment_of(path, here, kept.sequence):
        for line in _lines(segment):
            if line.sequence == kept.sequence:
                return Agreement.SAME if line.hash == kept.hash else Agreement.REWRITTEN
            last = max(last, line.sequence)
    return Agreement.REWRITTEN if last > kept.sequence else Agreement.CUT


def _from_segment_of(path: Path, here: list[Path], sequence: int) -> list[Path]:
    """The segments from the one that holds ``sequence`` by its name."""
    start = 0
    for index, segment in enumerate(here):
        first = first_sequence(path, segment.name)
        if first is not None and first <= sequence:
            start = index
    return here[start:]


def _lines(segment: Path) -> Iterator[Line]:
    """The lines of a segment that can be read; what cannot is ``verify``'s business."""
    try:
        descriptor = open_segment(segment)
    except FileNotFoundError:
        return
    with os.fdopen(descriptor, "rb") as file:
        for raw in lines_of(file):
            try:
                yield parse(raw)
            except LineError:
                continue

"""Check a whole ledger in bounded memory, also while the daemon writes to it."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from srwatchd.audit.chain import GENESIS, Line, LineError, Walk, parse
from srwatchd.audit.segments import closed_segments, first_sequence, lines_of, open_segment

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Fault", "Report", "verify"]

_PATIENCE_S: Final = 2.0
_PAUSE_S: Final = 0.1
_ROUNDS: Final = 3


@dataclass(frozen=True, slots=True)
class Fault:
    """One place where the ledger is not as it was written. ``line`` counts from 1 within ``file``."""

    file: str
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.what}"


@dataclass(frozen=True, slots=True)
class Report:
    """What a verification found.

    ``faults`` counts faulty lines and missing segments, ``first_problem`` is the first of them. ``unchecked`` lines
    carry a HMAC of a key that was not given: their order and links were checked, their content could not be.
    """

    lines: int
    segments: int
    faults: int
    first_problem: Fault | None
    unchecked: int
    first_sequence: int
    last_sequence: int
    mended: int
    retired: int

    @property
    def ok(self) -> bool:
        """Whether every line was checked and none is at fault."""
        return self.faults == 0 and self.unchecked == 0

    def __str__(self) -> str:
        counted = f"{self.lines} lines in {self.segments} segments, sequence {self.first_sequence}-{self.last_sequence}"
        if self.first_problem is not None:
            return f"broken: {self.first_problem} ({self.faults} faults; {counted})"
        if self.unchecked:
            return f"cannot check {self.unchecked} lines: they are hashed with a key that was not given ({counted})"
        return f"whole: {counted}, {self.mended} mended, {self.retired} retired"


@dataclass(frozen=True, slots=True)
class _Gone:
    """A segment that is not there and must have its tombstone."""

    file: str
    name: str
    last_sequence: int
    last_hash: str


class _Verifier:
    def __init__(self, path: Path, key: bytes | None) -> None:
        self._path = path
        self._key = key
        self._walk = Walk(key)
        self._file = ""
        self._line = 0
        self._previous_file = ""
        self._gone: _Gone | None = None
        self._keyed = False
        self._faults = self._lines = self._segments = self._mended = self._retired = 0
        self._first = 0
        self._first_problem: Fault | None = None

    def segment(self, descriptor: int, name: str, *, patient: bool) -> None:
        """Check one segment; closes the descriptor. ``patient`` waits for a line that is being written."""
        self._previous_file, self._file, self._line = self._file, name, 0
        self._segments += 1
        self._walk.begin()
        with os.fdopen(descriptor, "rb") as file:
            for piece in lines_of(file):
                raw = piece
                patience = _PATIENCE_S if patient else 0.0
                while patience > 0.0 and not raw.endswith(b"\n"):
                    time.sleep(_PAUSE_S)
                    patience -= _PAUSE_S
                    raw += file.readline()
                self._check(raw)
        if self._line == 0:
            self._fault("the segment is empty")

    def report(self) -> Report:
        """The findings after the last segment."""
        if self._segments == 0:
            self._file = self._path.name
            self._fault("there is no ledger")
        elif self._key is not None and not self._keyed:
            self._fault("no line is hashed with the given key")
        gone = self._gone
        if gone is not None:
            what = f"the segment before, {gone.name!r}, is missing and has no tombstone"
            self._first_problem = Fault(gone.file, 1, what)
            self._faults += 1
        last = self._walk.last
        return Report(
            lines=self._lines,
            segments=self._segments,
            faults=self._faults,
            first_problem=self._first_problem,
            unchecked=self._walk.unchecked,
            first_sequence=self._first,
            last_sequence=last.sequence if last is not None else 0,
            mended=self._mended,
            retired=self._retired,
        )

    def _fault(self, what: str) -> None:
        self._faults += 1
        if self._first_problem is None:
            self._first_problem = Fault(self._file, self._line, what)

    def _check(self, raw: bytes) -> None:
        self._line += 1
        self._lines += 1
        try:
            line = parse(raw)
        except LineError as error:
            self._walk.unreadable()
            self._fault(f"this is no whole ledger line: {error}")
            return
        before = self._walk.last
        fault = self._walk.step(line)
        if fault is None and self._line == 1:
            fault = self._head_fault(line, before)
        if fault is None:
            fault = self._content_fault(line)
        if fault is not None:
            self._fault(fault)

    def _head_fault(self, head: Line, before: Line | None) -> str | None:
        named = first_sequence(self._path, self._file)
        if named is not None and named != head.sequence:
            return f"the file is named after sequence {named} and begins with {head.sequence}"
        keyed = head.text("srwatchd.chain.algorithm") != "sha256"
        if self._keyed and not keyed:
            return "a segment without a key follows one with a key"
        self._keyed = self._keyed or keyed
        previous = head.text("srwatchd.segment.previous")
        if before is not None or self._segments > 1:
            return None if previous == self._previous_file else f"it follows {previous!r}, which is not the file before"
        self._first = head.sequence
        if previous:
            self._gone = _Gone(self._file, previous, head.sequence - 1, head.previous)
        elif (head.sequence, head.previous) != (1, GENESIS):
            return "the ledger's first line is not its beginning"
        return None

    def _content_fault(self, line: Line) -> str | None:
        if line.action == "ledger.break_found":
            what = line.text("srwatchd.break.what")
            return f"the chain was found broken here at {line.text('@timestamp')}: {what}"
        self._mended += line.action == "ledger.mended"
        if line.action != "ledger.segment_retired":
            return None
        self._retired += 1
        gone = self._gone
        stated = (
            line.text("file.name"),
            line.fields.get("srwatchd.segment.last_sequence"),
            line.text("srwatchd.segment.last_hash"),
        )
        if gone is not None and stated == (gone.name, gone.last_sequence, gone.last_hash):
            self._gone = None
        if line.fields.get("srwatchd.segment.intact") is not True:
            return f"the retired segment {line.text('file.name')!r} was broken"
        return None


def verify(path: Path, key: bytes | None = None) -> Report:
    """Check every line of every segment of the ledger at ``path``.

    Reads line by line, changes nothing, takes no lock. When retention or rotation removes or renames a segment in the
    meantime, it begins anew. Raises :class:`OSError` for what cannot be read.
    """
    for _ in range(_ROUNDS):
        before = closed_segments(path)
        report = _once(path, key)
        if report.first_problem is None or set(before) <= set(closed_segments(path)):
            break
    return report


def _once(path: Path, key: bytes | None) -> Report:
    verifier = _Verifier(path, key)
    done: set[Path] = set()
    while True:
        waiting = [segment for segment in closed_segments(path) if segment not in done]
        for segment in waiting:
            done.add(segment)
            try:
                descriptor = open_segment(segment)
            except FileNotFoundError:
                continue
            verifier.segment(descriptor, segment.name, patient=False)
        try:
            active = open_segment(path)
        except FileNotFoundError:
            return verifier.report()
        if all(segment in done for segment in closed_segments(path)):
            verifier.segment(active, path.name, patient=True)
            return verifier.report()
        os.close(active)  # it was closed meanwhile and has a new name

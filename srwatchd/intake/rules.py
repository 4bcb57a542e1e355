"""The rules by which a look at a file becomes a verdict. Pure; ``now`` is monotonic seconds.

Judged in this order against the latest look:

====================================  =================================================================
latest look                           verdict
====================================  =================================================================
not readable                          waits, looked at ever less often
lease BUSY                            waits; unchanged for ``max_hold``: doomed ``writer_never_closed``
found undecodable, unchanged          waits; unchanged for ``grace``: doomed ``incomplete``
no marker, in ``done_file`` mode      waits, looked at ever less often
no byte, or below ``min_size``        waits; unchanged for ``grace``: doomed ``empty``, ``too_small_file``
hole at the end                       waits; unchanged for ``grace``: ready, ``hole=True``
unchanged for ``settle``              ready
closed or moved here, lease FREE;     ready once a second look agrees: 0.1 s later, 2 s on a polled mount
or marked as done
====================================  =================================================================

A file above ``max_size`` is doomed ``too_large_file`` where it would have been ready.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from srwatchd.intake.observation import Lease, Look

if TYPE_CHECKING:
    from srwatchd.intake.folder import HotFolder
    from srwatchd.intake.mounts import Timing
    from srwatchd.job import Snapshot

__all__ = ["AGAIN", "Candidate", "Doomed", "Judgement", "Ready", "WaitReason", "judge", "later"]

AGAIN: Final = 0.1
"""Seconds between the two looks that must agree after a close or a move."""
_AGAIN_POLLED: Final = 2.0
_CLOSING: Final = 0.03
"""A close is reported just before the kernel lets go of the writer: how long until the next try ..."""
_CLOSING_TRIES: Final = 3
"""... and how many."""


class WaitReason(enum.StrEnum):
    """Why a file is still in its inbox. The values appear in `srwatchd status`."""

    UNSEEN = "unseen"
    SETTLING = "settling"
    WRITER_OPEN = "writer_open"
    NO_MARKER = "no_marker"
    EMPTY = "empty"
    TOO_SMALL = "too_small"
    HOLE = "hole_at_end"
    UNDECODABLE = "undecodable"
    UNREADABLE = "source_unreadable"
    UNMOVABLE = "source_unmovable"
    QUEUED = "queued"
    IN_WORK = "in_work"


@dataclass(frozen=True, slots=True)
class Ready:
    """Complete, as far as can be seen from outside. ``hole``: its end was never written."""

    snapshot: Snapshot
    hole: bool = False


@dataclass(frozen=True, slots=True)
class Doomed:
    """Given up: to be quarantined with ``code``."""

    snapshot: Snapshot
    code: str


@dataclass(slots=True)
class Candidate:
    """What is remembered of one file. Times are monotonic seconds."""

    since: float
    """First heard of."""
    touched: float
    """Last known to be there."""
    changed: float
    """When its present snapshot was first seen."""
    snapshot: Snapshot | None = None
    looked: float = float("-inf")
    reason: WaitReason = WaitReason.UNSEEN
    detail: str = ""
    closed: bool = False
    """A close or a move was reported."""
    agreed_since: float | None = None
    """The first of the two looks that must agree."""
    busy_since: float | None = None
    tries: int = 0
    delay: float = 0.0
    undecodable: bool = False
    reserved: bool = False
    hinted_meanwhile: bool = False
    verdict: Ready | Doomed | None = None

    def renew(self, snapshot: Snapshot, now: float) -> None:
        """Another snapshot than before: every patience begins again."""
        self.snapshot = snapshot
        self.changed = now
        self.undecodable = False
        self.agreed_since = None
        self.busy_since = None
        self.delay = 0.0
        self.tries = 0
        self.detail = ""
        self.verdict = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """What follows from a look: a verdict, or when to look again."""

    reason: WaitReason
    due: float | None = None
    verdict: Ready | Doomed | None = None
    detail: str = ""


def judge(candidate: Candidate, look: Look, now: float, *, timing: Timing, folder: HotFolder) -> Judgement:
    """What ``look``, the latest one at ``candidate`` (whose snapshot it already has), leads to.

    Moves the candidate's own timers on, nothing else.
    """
    if not look.readable:
        due = later(candidate, now, timing=timing, folder=folder)
        return Judgement(WaitReason.UNREADABLE, due, detail=look.problem)
    if look.lease is Lease.BUSY:
        return _busy(candidate, look, now, timing=timing, folder=folder)
    candidate.busy_since = None
    candidate.tries = 0
    if folder.ready == "done_file" and not look.marker and not candidate.undecodable:
        return Judgement(WaitReason.NO_MARKER, later(candidate, now, timing=timing, folder=folder))
    doubt = _doubt(candidate, look, folder)
    if doubt is not None:
        return _patient(candidate, now, timing, *doubt)
    large = look.snapshot.size > folder.max_size
    verdict = Doomed(look.snapshot, "too_large_file") if large else Ready(look.snapshot)
    return _settling(candidate, look, now, timing, verdict)


def _doubt(candidate: Candidate, look: Look, folder: HotFolder) -> tuple[WaitReason, Ready | Doomed] | None:
    """What makes the file look unfinished, and the verdict if it never changes again; None when nothing does."""
    snapshot = look.snapshot
    if candidate.undecodable:
        return WaitReason.UNDECODABLE, Doomed(snapshot, "incomplete")
    if snapshot.size == 0:
        return WaitReason.EMPTY, Doomed(snapshot, "empty")
    if snapshot.size < folder.min_size:
        return WaitReason.TOO_SMALL, Doomed(snapshot, "too_small_file")
    if look.hole_at_end and snapshot.size <= folder.max_size:
        return WaitReason.HOLE, Ready(snapshot, hole=True)
    return None


def later(candidate: Candidate, now: float, *, timing: Timing, folder: HotFolder) -> float:
    """When to look again at something that only a person or another program changes: twice as late each time."""
    candidate.delay = min(max(candidate.delay * 2, timing.settle, AGAIN), max(folder.rescan_interval, AGAIN))
    return now + candidate.delay


def _busy(candidate: Candidate, look: Look, now: float, *, timing: Timing, folder: HotFolder) -> Judgement:
    candidate.agreed_since = None
    if candidate.busy_since is None:
        candidate.busy_since = now
    idle_since = max(candidate.busy_since, candidate.changed)
    if now >= idle_since + folder.max_hold:
        return Judgement(WaitReason.QUEUED, verdict=Doomed(look.snapshot, "writer_never_closed"))
    if candidate.closed and candidate.tries < _CLOSING_TRIES:
        candidate.tries += 1
        return Judgement(WaitReason.WRITER_OPEN, now + _CLOSING)
    candidate.closed = False
    return Judgement(WaitReason.WRITER_OPEN, min(now + max(timing.settle, AGAIN), idle_since + folder.max_hold))


def _patient(
    candidate: Candidate, now: float, timing: Timing, reason: WaitReason, verdict: Ready | Doomed
) -> Judgement:
    """Wait until the file has been unchanged for the grace time (never less than to settle), then give ``verdict``."""
    end = candidate.changed + max(timing.grace, timing.settle)
    if now >= end:
        return Judgement(WaitReason.QUEUED, verdict=verdict)
    candidate.agreed_since = None
    return Judgement(reason, end)


def _settling(candidate: Candidate, look: Look, now: float, timing: Timing, verdict: Ready | Doomed) -> Judgement:
    """Ready when unchanged for the settle time, or sooner when the writer is known to have finished."""
    end = candidate.changed + timing.settle
    if now >= end:
        return Judgement(WaitReason.QUEUED, verdict=verdict)
    finished = look.marker or (candidate.closed and look.lease is Lease.FREE)
    if not finished:
        candidate.agreed_since = None
        return Judgement(WaitReason.SETTLING, end)
    if candidate.agreed_since is None:
        candidate.agreed_since = now
    soon = candidate.agreed_since + (_AGAIN_POLLED if timing.poll else AGAIN)
    if now >= soon:
        return Judgement(WaitReason.QUEUED, verdict=verdict)
    return Judgement(WaitReason.SETTLING, min(soon, end))

"""Which files of a hot folder are complete: every candidate, what it waits for, and when to look again.

Pure: ``now`` is monotonic seconds, the caller makes the looks; the rules are in :mod:`srwatchd.intake.rules`. The
caller's loop is ::

    hint or scan -> hinted(), seen() or reconcile()       something may have changed
    due(now)     -> look at each name -> observe(look, now), or forget(name) when it is gone
    ready(now)   -> reserve(name) -> claimed(name, now) | undecodable(name, now) | put_back(name, now) | hold(...)

Every step costs at most a logarithm of the number of files; only :meth:`Settler.waiting` and a reconciliation visit
them all.

Of a folder with very many files only those are remembered whose turn comes next, ``limit`` of them (``select`` in
:mod:`srwatchd.intake.order`), so that memory has a bound. What waits for its writer or for a person is remembered
besides, half as many at most, and keeps no other file from its turn; so is what has been reserved. The rest is a
number, :attr:`Settler.more`, until a scan, for which :attr:`Settler.depleted` asks, brings the next.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, Final

from srwatchd.intake.agenda import NameQueue
from srwatchd.intake.hints import Hint, HintKind
from srwatchd.intake.names import marked, wanted
from srwatchd.intake.order import KNOWN_FILES, rank_of
from srwatchd.intake.rules import AGAIN, Candidate, Doomed, Ready, WaitReason, judge, later

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from srwatchd.intake.folder import HotFolder
    from srwatchd.intake.mounts import Timing
    from srwatchd.intake.observation import Look
    from srwatchd.intake.order import Selection
    from srwatchd.job import Snapshot

__all__ = ["Doomed", "Ready", "Settler", "WaitReason", "Waiting"]

_PAUSE: Final = 0.03
"""The shortest time between two looks at one file, and how long a bare creation waits for its close."""
_STUCK: Final = frozenset({WaitReason.WRITER_OPEN, WaitReason.NO_MARKER, WaitReason.UNREADABLE, WaitReason.UNMOVABLE})
"""What only a writer or a person ends."""
_DEPLETED: Final = 2
"""When this part of what is remembered has been claimed, the next files are wanted."""
_PAST: Final = 256
"""So many scans are remembered at most; of more every other one."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why a file is still in the inbox, since when (monotonic), and what a person can do about it, if anything."""

    reason: WaitReason
    since: float
    snapshot: Snapshot | None
    detail: str = ""


class _Past:
    """Since when a file that was only counted has waited: since the first scan that saw its ctime or a later one."""

    def __init__(self) -> None:
        self._scans: list[tuple[int, float]] = []

    def note(self, latest_ns: int | None, started: float) -> None:
        """A scan has seen files up to this ctime; None when all of them are remembered."""
        if latest_ns is None:
            self._scans.clear()
        elif not self._scans or latest_ns > self._scans[-1][0]:
            self._scans.append((latest_ns, started))
            if len(self._scans) > _PAST:
                del self._scans[1::2]

    def since(self, ctime_ns: int, now: float) -> float:
        """When it was first counted; ``now`` for a file that no scan can have seen."""
        index = bisect_left(self._scans, (ctime_ns, float("-inf")))
        return self._scans[index][1] if index < len(self._scans) else now


class Settler:
    """The candidates of one hot folder, ``limit`` of them. Not for two threads at once."""

    def __init__(self, timing: Timing, folder: HotFolder, *, limit: int = KNOWN_FILES) -> None:
        self._timing = timing
        self._folder = folder
        self._limit = limit
        self._rank = rank_of(folder.order)
        self.more = 0
        """How many further files the last whole scan has seen."""
        self._taken = 0
        """How many have been claimed since then."""
        self._news = False
        """Whether it brought anything."""
        self._past = _Past()
        self._candidates: dict[str, Candidate] = {}
        self._due = NameQueue()
        self._ready = NameQueue()
        self._claimed: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._candidates)

    def __contains__(self, name: str) -> bool:
        return name in self._candidates

    # -- what happened ------------------------------------------------------------------------------------------

    def hinted(self, hint: Hint, now: float) -> bool:
        """Take note of an event; True when it asks for a look, which is due at once.

        A directory or an overflow asks for a scan instead, an unwanted name for nothing.
        """
        if hint.kind in (HintKind.DIRECTORY, HintKind.OVERFLOW):
            return False
        name = marked(hint.name, self._folder)
        if name is None:
            if not wanted(hint.name, self._folder):
                return False
            name = hint.name
        candidate = self._candidates.get(name)
        if candidate is None:
            if self._full:
                self.more = max(self.more, 1)
                return False
            candidate = self._candidates[name] = Candidate(since=now, touched=now, changed=now)
        candidate.touched = now
        if candidate.reserved:
            candidate.hinted_meanwhile = True
            return False
        soon = now
        if hint.kind is HintKind.CREATED:
            soon += _PAUSE
        else:
            candidate.closed = True
            candidate.tries = 0
        self._look_by(name, max(soon, candidate.looked + _PAUSE))
        return True

    def observe(self, look: Look, now: float, hint: Hint | None = None) -> None:
        """Judge a look made at ``now``; with ``hint`` when the event has not been reported by :meth:`hinted`."""
        name = look.snapshot.name
        if hint is not None:
            self.hinted(hint, now)
        candidate = self._candidates.get(name)
        if candidate is None:
            candidate = self._candidates[name] = Candidate(since=now, touched=now, changed=now)
        candidate.touched = candidate.looked = now
        if candidate.reserved:
            return
        if candidate.snapshot != look.snapshot:
            candidate.renew(look.snapshot, now)
        judgement = judge(candidate, look, now, timing=self._timing, folder=self._folder)
        candidate.reason, candidate.verdict = judgement.reason, judgement.verdict
        candidate.detail = judgement.detail
        if judgement.verdict is not None:
            self._due.remove(name)
            self._ready.put(name, self._rank(look.snapshot))
        else:
            self._ready.remove(name)
            self._due.put(name, judgement.due)

    def seen(self, snapshots: Iterable[Snapshot], now: float, *, started: float) -> None:
        """Take over what a scan that began at ``started`` saw. Whatever is known from later than that stays.

        What is new is looked at in the folder's order, so that the first of many is ready before the last is seen.
        """
        self.more = max(self.more, self._take_over(snapshots, now, started))

    def reconcile(self, found: Selection, now: float, *, started: float | None = None) -> None:
        """Make a whole scan of the inbox the truth: forget what it did not see, take over what it did.

        ``started`` defaults to now.
        """
        begin = now if started is None else started
        for snapshot in found.snapshots:
            if (known := self._candidates.get(snapshot.name)) is not None:
                known.touched = max(known.touched, begin)
        self._sweep(begin)
        kept = len(self._candidates)
        self.more = found.more + self._take_over(found.snapshots, now, begin)
        self._taken, self._news = 0, len(self._candidates) > kept
        self._past.note(found.latest_ns if self.more else None, begin)

    def apart(self) -> frozenset[str]:
        """The names of what is remembered besides those whose turn comes next, for :func:`~order.select`."""
        reserved = (name for name, each in self._candidates.items() if each.reserved)
        stuck = (name for name, each in self._candidates.items() if each.reason in _STUCK)
        return frozenset(chain(reserved, islice(stuck, self._limit // 2)))

    @property
    def depleted(self) -> bool:
        """Whether a scan would bring files whose turn is near."""
        return self.more > 0 and self._taken >= self._limit // _DEPLETED

    @property
    def expecting(self) -> bool:
        """Whether a scan may still bring files: not when all that can be remembered waits for somebody."""
        return self.more > 0 and (self._news or self._taken > 0)

    def forget(self, name: str) -> None:
        """The file is gone."""
        self._candidates.pop(name, None)
        self._due.remove(name)
        self._ready.remove(name)

    # -- what to do ---------------------------------------------------------------------------------------------

    def due(self, now: float, *, limit: int | None = None) -> list[str]:
        """The names to look at now, at most ``limit``, longest due first. Each is handed out once."""
        names: list[str] = []
        while (limit is None or len(names) < limit) and (first := self._due.first()) is not None and first[0] <= now:
            names.append(self._due.pop()[1])
        return names

    def next_due(self) -> float | None:
        """When the next look is due; None when nothing is."""
        first = self._due.first()
        return None if first is None else float(first[0])

    def ready(self, now: float, *, limit: int | None = None) -> list[Ready | Doomed]:  # noqa: ARG002 - every question to the settler carries its time
        """The verdicts in the folder's order, at most ``limit``; they stay until reserved, changed or forgotten."""
        verdicts = (self._candidates[name].verdict for name in self._ready.names(limit))
        return [verdict for verdict in verdicts if verdict is not None]

    @property
    def oldest_since(self) -> float | None:
        """Since when the file that was seen first of all has been waiting (monotonic); None when there is none."""
        return min((each.since for each in self._candidates.values()), default=None)

    def waiting(self) -> Mapping[str, Waiting]:
        """Every file that is still in the inbox, and why."""
        return {
            name: Waiting(each.reason, each.since, each.snapshot, each.detail)
            for name, each in self._candidates.items()
        }

    # -- what became of a verdict -------------------------------------------------------------------------------

    def reserve(self, name: str) -> None:
        """The file is being probed or claimed: not reported, not looked at. Raises KeyError when it is unknown."""
        candidate = self._candidates[name]
        candidate.reserved = True
        candidate.hinted_meanwhile = False
        candidate.reason = WaitReason.IN_WORK
        self._due.remove(name)
        self._ready.remove(name)

    def claimed(self, name: str, now: float) -> None:
        """The file has left the inbox with us. An event since :meth:`reserve` means a new file of that name."""
        candidate = self._candidates.get(name)
        again = candidate is not None and candidate.hinted_meanwhile
        self.forget(name)
        self._taken += 1
        self._claimed[name] = now
        if again:
            self.hinted(Hint(HintKind.CLOSED, name), now)

    def undecodable(self, name: str, now: float) -> None:
        """Its content does not decode: it waits until it changes, or until its grace is over."""
        candidate = self._returned(name, WaitReason.UNDECODABLE)
        if candidate is not None:
            candidate.undecodable = True
            again = now + _PAUSE if candidate.hinted_meanwhile else candidate.changed + self._timing.grace
            self._look_by(name, max(now, again))

    def put_back(self, name: str, now: float) -> None:
        """It changed, was busy or was given back: it has to settle anew."""
        candidate = self._returned(name, WaitReason.SETTLING)
        if candidate is not None:
            candidate.changed = now
            candidate.agreed_since = None
            candidate.closed = candidate.hinted_meanwhile
            self._look_by(name, now + AGAIN)

    def hold(self, name: str, now: float, *, reason: WaitReason, detail: str) -> None:
        """It cannot be read or moved: tried again ever less often, at least every ``rescan_interval``."""
        candidate = self._returned(name, reason)
        if candidate is not None:
            candidate.detail = detail
            self._look_by(name, later(candidate, now, timing=self._timing, folder=self._folder))

    def grace_over(self, name: str, now: float) -> bool:
        """Whether the file has been unchanged for the grace time; True for an unknown one."""
        candidate = self._candidates.get(name)
        return candidate is None or now >= candidate.changed + self._timing.grace

    # -- inside -------------------------------------------------------------------------------------------------

    def _take_over(self, snapshots: Iterable[Snapshot], now: float, started: float) -> int:
        """:meth:`seen`; how many there was no room for."""
        left_out = 0
        for snapshot in sorted(snapshots, key=self._rank):
            name = snapshot.name
            if self._claimed.get(name, float("-inf")) >= started:
                continue
            candidate = self._candidates.get(name)
            if candidate is None:
                if self._full:
                    left_out += 1
                    continue
                since = self._past.since(snapshot.ctime_ns, now)
                self._candidates[name] = Candidate(since, now, now, snapshot, reason=WaitReason.SETTLING)
                self._due.put(name, now + self._timing.settle)
                continue
            candidate.touched = now
            if candidate.reserved or candidate.looked >= started:
                continue
            if candidate.snapshot is None and candidate.reason is WaitReason.UNREADABLE:
                candidate.snapshot = snapshot  # heard of, never seen by a look: that a scan sees it is no change
            elif candidate.snapshot != snapshot:
                candidate.renew(snapshot, now)
                candidate.reason = WaitReason.SETTLING
                self._ready.remove(name)
                self._look_by(name, now + self._timing.settle)
            elif name not in self._ready and name not in self._due:
                self._look_by(name, now)  # a look was lost on its way
        return left_out

    def _sweep(self, started: float) -> None:
        """Forget what is known from before ``started`` only."""
        gone = [name for name, each in self._candidates.items() if each.touched < started and not each.reserved]
        for name in gone:
            self.forget(name)
        self._claimed = {name: when for name, when in self._claimed.items() if when >= started}

    def _returned(self, name: str, reason: WaitReason) -> Candidate | None:
        candidate = self._candidates.get(name)
        if candidate is not None:
            candidate.reserved = False
            candidate.verdict = None
            candidate.reason = reason
            self._ready.remove(name)
        return candidate

    def _look_by(self, name: str, when: float) -> None:
        """See to it that a look is due at ``when`` or earlier."""
        present = self._due.key(name)
        if present is None or when < present:
            self._due.put(name, when)

    @property
    def _full(self) -> bool:
        """Whether nothing more is remembered before a scan has told what to forget."""
        return len(self._candidates) >= self._limit + self._limit // 2

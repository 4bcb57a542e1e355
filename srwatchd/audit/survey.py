"""What stands in one segment: how far its chain is whole, what comes after, and which jobs are open.

Torn or broken? A crash in the middle of a write leaves a line without its newline, or blocks of zeros; none of that
can be read as a line. So a segment is torn when nothing after its last whole line is one, and broken when something is:
then somebody or something changed what had been written.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from srwatchd.audit.chain import Line, LineError, Walk, parse
from srwatchd.audit.events import ACTIONS
from srwatchd.audit.segments import lines_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Jobs", "Opened", "Survey", "survey"]

_REMEMBERED: Final = 1024


class Jobs:
    """Which jobs have an intent but no outcome, and which of the latest ones have an outcome."""

    __slots__ = ("finished", "unfinished")

    def __init__(self) -> None:
        self.unfinished: dict[str, None] = {}
        self.finished: dict[str, str] = {}

    def note(self, action: str, job: str) -> None:
        """Take one event into account."""
        known = ACTIONS.get(action)
        if known is None or not job:
            return
        if known.role == "intent":
            self.finished.pop(job, None)
            self.unfinished[job] = None
        elif known.role == "outcome":
            self.unfinished.pop(job, None)
            self.finished[job] = action
            if len(self.finished) > _REMEMBERED:
                del self.finished[next(iter(self.finished))]

    def head_fields(self) -> dict[str, Any]:
        """The fields by which a segment's first line hands the account on."""
        return {
            "srwatchd.jobs.unfinished": list(self.unfinished)[-_REMEMBERED:],
            "srwatchd.jobs.finished": [f"{action} {job}" for job, action in self.finished.items()],
        }

    def take_over(self, head: Line) -> None:
        """Begin with what a segment's first line hands on."""
        for job in _texts(head.fields.get("srwatchd.jobs.unfinished")):
            self.unfinished[job] = None
        for item in _texts(head.fields.get("srwatchd.jobs.finished")):
            action, _, job = item.partition(" ")
            self.note(action, job)


def _texts(value: object) -> Iterable[str]:
    return (item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


@dataclass(slots=True)
class Survey:
    """The findings. ``size`` is where the whole part ends; ``fault`` and ``line`` say what is wrong after it."""

    head: Line | None = None
    last: Line | None = None
    lines: int = 0
    size: int = 0
    fault: str = ""
    line: int = 0
    torn: bool = False
    dropped_bytes: int = 0
    dropped_sha256: str = ""
    sha256: str = ""
    total: int = 0
    jobs: Jobs = field(default_factory=Jobs)
    retired: list[str] = field(default_factory=list)

    @property
    def broken(self) -> bool:
        """Whether the chain is damaged other than by a torn write."""
        return bool(self.fault) and not self.torn


@dataclass(frozen=True, slots=True)
class Opened:
    """What opening found: whether a torn line was cut off or a break recorded, and how the latest jobs stand.

    ``unfinished`` jobs have an intent and no outcome; ``finished`` maps a job to the action of its outcome, for at
    least the latest thousand jobs.
    """

    mended: bool
    broken: bool
    last_sequence: int
    unfinished: frozenset[str]
    finished: Mapping[str, str]


def survey(descriptor: int, key: bytes | None) -> Survey:
    """Read a whole segment in bounded memory; the descriptor stays open. Raises :class:`OSError`."""
    found, walk = Survey(), Walk(key)
    whole, rest = hashlib.sha256(), hashlib.sha256()
    with os.fdopen(os.dup(descriptor), "rb") as file:
        file.seek(0)
        for number, raw in enumerate(lines_of(file), start=1):
            whole.update(raw)
            found.total += len(raw)
            line, fault = _judge(raw, walk)
            if line is not None:
                _take(found, line)
            if fault and not found.fault:
                found.fault, found.line, found.torn = fault, number, True
            if found.fault:
                found.torn = found.torn and not _readable(raw)
                rest.update(raw)
            else:
                found.lines, found.size = number, found.total
    found.sha256, found.dropped_sha256 = whole.hexdigest(), rest.hexdigest()
    found.dropped_bytes = found.total - found.size
    return found


def _judge(raw: bytes, walk: Walk) -> tuple[Line | None, str]:
    try:
        line = parse(raw)
    except LineError as error:
        walk.unreadable()
        return None, str(error)
    return line, walk.step(line) or ""


def _take(found: Survey, line: Line) -> None:
    if found.head is None:
        found.head = line
        found.jobs.take_over(line)
    found.last = line
    found.jobs.note(line.action, line.text("trace.id"))
    if line.action == "ledger.segment_retired":
        found.retired.append(line.text("file.name"))


def _readable(raw: bytes) -> bool:
    """Whether a complete line can be read as JSON, so that it was once written whole."""
    if not raw.endswith(b"\n"):
        return False
    try:
        return isinstance(json.loads(raw), dict)
    except (ValueError, RecursionError):
        return False

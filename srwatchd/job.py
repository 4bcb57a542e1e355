"""A job: one claimed picture on its way through srwatchd, its states, and the record that survives a crash.

Pure: no clock, no file system. :data:`TRANSITIONS` is the whole life of a job; the diagram in ARCHITECTURE.md is made
from it by :func:`diagram`.
"""

from __future__ import annotations

import enum
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

__all__ = [
    "FINAL",
    "TRANSITIONS",
    "Attempt",
    "Event",
    "Failure",
    "IllegalTransitionError",
    "Placement",
    "Record",
    "Snapshot",
    "State",
    "advance",
    "diagram",
]


class State(enum.StrEnum):
    """Where a job stands. The durable ones are written to its record before the step that they announce."""

    PROBING = "probing"
    """Decoded where it lies, in the inbox; nothing is claimed yet."""
    CLAIMING = "claiming"
    """The record exists, the source is being renamed into the private folder. Durable."""
    CLAIMED = "claimed"
    """The source is ours: waiting for a worker or in one."""
    WAITING = "waiting"
    """An attempt failed; waiting for the next one."""
    DELIVERING = "delivering"
    """The verified result is being renamed into the done folder. Durable."""
    ARCHIVING = "archiving"
    """The result is delivered, the source is being moved to the archive or deleted. Durable."""
    QUARANTINING = "quarantining"
    """The source is being moved to the error folder. Durable."""
    DELIVERED = "delivered"
    QUARANTINED = "quarantined"
    RELEASED = "released"
    """Given back to the inbox, as it came."""


class Event(enum.StrEnum):
    """What moves a job on."""

    ACCEPT = "accept"
    DECLINE = "decline"
    CLAIM = "claim"
    FAIL = "fail"
    RETRY = "retry"
    DELIVER = "deliver"
    REDO = "redo"
    ARCHIVE = "archive"
    QUARANTINE = "quarantine"
    FINISH = "finish"
    RELEASE = "release"


TRANSITIONS: Final[dict[tuple[State, Event], State]] = {
    (State.PROBING, Event.ACCEPT): State.CLAIMING,  # decodable, or so broken that it must be quarantined
    (State.PROBING, Event.DECLINE): State.RELEASED,  # not complete yet, changed or gone: intake keeps it
    (State.CLAIMING, Event.CLAIM): State.CLAIMED,
    (State.CLAIMING, Event.RELEASE): State.RELEASED,  # changed under our hands
    (State.CLAIMED, Event.FAIL): State.WAITING,
    (State.CLAIMED, Event.DELIVER): State.DELIVERING,
    (State.CLAIMED, Event.QUARANTINE): State.QUARANTINING,
    (State.CLAIMED, Event.RELEASE): State.RELEASED,
    (State.WAITING, Event.RETRY): State.CLAIMED,
    (State.WAITING, Event.RELEASE): State.RELEASED,
    (State.DELIVERING, Event.ARCHIVE): State.ARCHIVING,
    (State.DELIVERING, Event.REDO): State.CLAIMED,  # after a crash, neither staged nor delivered result is there
    (State.ARCHIVING, Event.FINISH): State.DELIVERED,
    (State.QUARANTINING, Event.FINISH): State.QUARANTINED,
}

FINAL: Final = frozenset({State.DELIVERED, State.QUARANTINED, State.RELEASED})


class IllegalTransitionError(Exception):
    """The event does not apply in this state; nothing has changed."""


def advance(state: State, event: Event) -> State:
    """The state after ``event``. Raises :class:`IllegalTransitionError` when :data:`TRANSITIONS` has no such entry."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise IllegalTransitionError(f"{event.value!r} does not apply to a job that is {state.value!r}") from None


def diagram() -> str:
    """:data:`TRANSITIONS` as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", "    [*] --> probing"]
    lines += [f"    {a.value} --> {b.value}: {event.value}" for (a, event), b in TRANSITIONS.items()]
    lines += [f"    {state.value} --> [*]" for state in State if state in FINAL]
    return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a look at a file in an inbox saw. Two equal snapshots mean that nobody wrote in between.

    ``name`` is the path relative to the inbox, "/"-separated, undecodable bytes as surrogate escapes.
    """

    name: str
    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int
    owner: int

    def same_content(self, other: Snapshot) -> bool:
        """Whether ``other`` is the same file with the same bytes; a rename (which changes ctime) does not matter."""
        mine = (self.device, self.inode, self.size, self.mtime_ns)
        return mine == (other.device, other.inode, other.size, other.mtime_ns)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One failed try: when (RFC 3339, UTC), why, and on which engine if it came that far."""

    at: str
    code: str
    message: str
    engine: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a job is quarantined."""

    code: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class Placement:
    """A file on its way to a final name: enough to recognise it after a crash.

    ``name`` is relative to the destination root; ``device`` and ``inode`` are those of the staged file (or of the
    source itself where a plain rename does).
    """

    name: str
    sha256: str
    size: int
    device: int
    inode: int


@dataclass(frozen=True, slots=True)
class Record:
    """The durable memory of a job: one small file in the inbox's private folder.

    ``facts`` is what the ledger is to be told of how the result was made, by the names of the ledger's fields.
    """

    job: str
    folder: str
    snapshot: Snapshot
    claimed_at: str
    state: State = State.CLAIMING
    source_sha256: str = ""
    attempts: tuple[Attempt, ...] = ()
    result: Placement | None = None
    source: Placement | None = None
    failure: Failure | None = None
    address: str = ""
    user: str = ""
    origin: str = ""
    """How address and user are known."""
    facts: dict[str, Any] = field(default_factory=dict, hash=False)

    @property
    def name(self) -> str:
        """The source's path relative to its inbox."""
        return self.snapshot.name

    def after(self, event: Event, **changes: Any) -> Record:
        """Return the record after ``event`` with ``changes``; the transition is checked."""
        return replace(self, state=advance(self.state, event), **changes)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON (``ensure_ascii=True``, names may hold surrogates)."""
        return {"version": 1, **asdict(self)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Record:
        """The inverse of :meth:`to_dict`; raises KeyError, TypeError or ValueError for anything else."""
        fields = {key: value for key, value in data.items() if key != "version"}
        if data["version"] != 1:
            raise ValueError(f"record version {data['version']!r} is not known")
        fields["state"] = State(fields["state"])
        fields["snapshot"] = Snapshot(**fields["snapshot"])
        fields["attempts"] = tuple(Attempt(**attempt) for attempt in fields["attempts"])
        for key, kind in (("result", Placement), ("source", Placement), ("failure", Failure)):
            fields[key] = None if fields[key] is None else kind(**fields[key])
        return cls(**fields)

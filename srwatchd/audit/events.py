"""What can stand in the ledger: every action, and the entry that a stage hands over.

:data:`ACTIONS` and :data:`~srwatchd.audit.fields.FIELDS` are the whole vocabulary; the tables in
`docs/ledger.md` are made from them and a test compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from srwatchd.audit.fields import checked

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ACTIONS", "Action", "Entry", "Outcome", "actions_table"]

Outcome = Literal["success", "failure", "unknown"]
"""ECS ``event.outcome``; an intent is ``unknown``."""

Role = Literal["fact", "intent", "outcome"]

_MOST_NS: Final = (1 << 53) - 1
_MOST_TEXT: Final = 8192


@dataclass(frozen=True, slots=True)
class Action:
    """One kind of event. ``role`` "intent" opens a job's account, "outcome" closes it."""

    name: str
    category: str
    type: str
    description: str
    role: Role = "fact"
    kind: Literal["event", "alert"] = "event"

    @property
    def about_job(self) -> bool:
        """Whether an entry must name its job."""
        return self.name.startswith("job.")


def _table(*actions: Action) -> dict[str, Action]:
    return {action.name: action for action in actions}


ACTIONS: Final[dict[str, Action]] = _table(
    Action("daemon.started", "process", "start", "A daemon, or a command that holds its lock, took up work."),
    Action("daemon.stopped", "process", "end", "It ended in order; without this line it was killed or lost power."),
    Action("configuration.loaded", "configuration", "change", "A configuration took effect: which file, which hash."),
    Action("configuration.refused", "configuration", "denied", "A reload was refused whole; the old one stays."),
    Action(
        "model.selected", "configuration", "info", "A folder's model and the engine that was chosen for it, and why."
    ),
    Action("model.refused", "configuration", "denied", "A model is missing, altered, or failed its smoke test."),
    Action("model.imported", "configuration", "installation", "A model was added to the models folder."),
    Action("model.removed", "configuration", "deletion", "A model was removed from the models folder."),
    Action("folder.held", "host", "error", "Work on a folder stopped because the machine is at fault."),
    Action("folder.resumed", "host", "info", "Work on a held folder went on; the duration is that of the hold."),
    Action("job.claimed", "file", "access", "The source is about to be moved out of the inbox.", "intent"),
    Action("job.released", "file", "change", "The source went back to the inbox as it came.", "outcome"),
    Action("job.attempt_failed", "file", "error", "One try failed; another follows, or a quarantine."),
    Action("job.delivering", "file", "creation", "The checked result is about to appear in the done folder.", "intent"),
    Action("job.delivered", "file", "creation", "The result stands under its final name."),
    Action("job.archiving", "file", "change", "The source is about to be archived or deleted.", "intent"),
    Action("job.completed", "file", "end", "Result delivered and source archived or deleted.", "outcome"),
    Action("job.quarantining", "file", "change", "The source is about to be moved to the error folder.", "intent"),
    Action("job.quarantined", "file", "end", "The source is in the error folder, its reason beside it.", "outcome"),
    Action("job.produced", "file", "end", "Delivered by `srwatchd upscale`; the source stays where it is.", "outcome"),
    Action(
        "job.failed", "file", "error", "`srwatchd upscale` gave a picture up; the source stays as it is.", "outcome"
    ),
    Action("job.recovered", "file", "info", "A job left over by a crash was taken up again, and in which state."),
    Action("batch.started", "process", "start", "A run of `srwatchd upscale` began under the lock of this state."),
    Action("batch.ended", "process", "end", "It ended: how many pictures were delivered, skipped, failed, and left."),
    Action("file.removing", "file", "deletion", "Retention is about to remove a file."),
    Action("file.removed", "file", "deletion", "Retention removed it from archive, done or error, or could not."),
    Action("hook.failed", "process", "error", "A hook did not end well, or was dropped; no picture is concerned."),
    Action("control.paused", "configuration", "change", "A person paused a folder, or all of them."),
    Action("control.resumed", "configuration", "change", "A person let a paused folder, or all of them, go on."),
    Action("control.retrying", "file", "change", "A person asked for it: a file is about to leave the error folder."),
    Action("control.retried", "file", "change", "A person put a file from the error folder back into the inbox."),
    Action("ledger.started", "file", "creation", "First line of a ledger that has no predecessor."),
    Action("ledger.segment_started", "file", "creation", "First line of a segment; names its predecessor."),
    Action(
        "ledger.break_found",
        "file",
        "error",
        "First line of a segment begun because the one before it was found broken. Never accepted by verify.",
        kind="alert",
    ),
    Action("ledger.mended", "file", "change", "A torn last line, left by a crash, was cut off."),
    Action("ledger.segment_retired", "file", "deletion", "Tombstone: retention is about to remove this segment."),
    Action("ledger.checkpointed", "file", "info", "A checkpoint of the line before was put somewhere else."),
)
"""Every action by name. Names are only ever added."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One event to be recorded.

    ``fields`` are flat dotted keys from :data:`~srwatchd.audit.fields.FIELDS` (or ``srwatchd.detail.*``) with text,
    whole numbers, flags or sequences of text; None means absent. Paths are given as they are, undecodable bytes as
    surrogate escapes. Raises :class:`ValueError` for an unknown action, outcome or field or a job event without its
    job, and :class:`TypeError` for a value of another type: both are defects of the caller.
    """

    action: str
    outcome: Outcome = "success"
    job: str = ""
    duration_ns: int = 0
    fields: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""

    def __post_init__(self) -> None:
        if self.action not in ACTIONS:
            raise ValueError(f"{self.action!r} is no action of the ledger")
        if self.outcome not in ("success", "failure", "unknown"):
            raise ValueError(f"{self.outcome!r} is no outcome")
        if ACTIONS[self.action].about_job and not self.job:
            raise ValueError(f"{self.action} must name its job")
        object.__setattr__(self, "fields", checked(self.fields))

    def to_fields(self) -> dict[str, Any]:
        """The entry's own part of a line."""
        action = ACTIONS[self.action]
        line: dict[str, Any] = {
            **self.fields,
            "event.action": self.action,
            "event.category": [action.category],
            "event.kind": action.kind,
            "event.outcome": self.outcome,
            "event.type": [action.type],
        }
        if self.duration_ns > 0:
            line["event.duration"] = min(self.duration_ns, _MOST_NS)
        if self.job:
            line["trace.id"] = self.job
        if self.reason:
            line["event.reason"] = self.reason[:_MOST_TEXT]
        return line


def actions_table() -> str:
    """:data:`ACTIONS` as the Markdown table of `docs/ledger.md`."""
    rows = [f"| `{a.name}` | {a.role} | {a.category} / {a.type} | {a.description} |" for a in ACTIONS.values()]
    return "\n".join(["| action | role | category / type | what happened |", "|---|---|---|---|", *rows])

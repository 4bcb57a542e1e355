"""What still lies in an inbox, and why: told to intake after a run, shown in the status. Touches no disk."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any, Final

from srwatchd.daemon.jobrun import UNDECODABLE, Outcome, Verdict
from srwatchd.errors import HostError
from srwatchd.intake.settle import WaitReason

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

    from srwatchd.daemon.jobrun import JobRun
    from srwatchd.intake.settle import Settler

__all__ = ["OLD_SECONDS", "concerns_source", "needs_person", "settling", "tell", "unlisted", "waiting_files"]

_FILE_HOLDS: Final = {
    "source_unreadable": WaitReason.UNREADABLE,
    "source_unmovable": WaitReason.UNMOVABLE,
    "io_error": WaitReason.UNREADABLE,
}
"""What can be wrong with one file alone, by the code of the error."""

OLD_SECONDS: Final = 600.0
"""A file that has been in its inbox for so long is shown with its reason."""

_TRANSITORY: Final = frozenset(
    {
        WaitReason.UNSEEN,
        WaitReason.SETTLING,
        WaitReason.UNDECODABLE,
        WaitReason.HOLE,
        WaitReason.EMPTY,
        WaitReason.TOO_SMALL,
        WaitReason.QUEUED,
        WaitReason.IN_WORK,
    }
)
"""What ends by itself within the grace; the rest waits for a writer or a person."""
_STILL_IN_INBOX: Final = frozenset({Verdict.DECLINED, Verdict.RELEASED, Verdict.HELD})
_AT_ONCE: Final = frozenset({WaitReason.UNREADABLE, WaitReason.UNMOVABLE})
_IN_TURN: Final = frozenset({WaitReason.QUEUED, WaitReason.IN_WORK})
_MOST_SHOWN: Final = 1000


def concerns_source(error: HostError, source: Collection[str]) -> bool:
    """Whether ``error`` is about one source, to which the paths ``source`` lead, and no reason to hold its folder."""
    if error.code == "io_error":
        return error.path in source
    return error.code in _FILE_HOLDS


def tell(settler: Settler, run: JobRun, outcome: Outcome, *, now: float, paths: Collection[str]) -> None:
    """Let intake know what became of its candidate, to which ``paths`` lead."""
    name, error = run.name, outcome.error
    if outcome.verdict not in _STILL_IN_INBOX or (outcome.verdict is Verdict.HELD and run.record is not None):
        settler.claimed(name, now)
    elif error is not None and error.code in UNDECODABLE:
        settler.undecodable(name, now)
    elif isinstance(error, HostError) and concerns_source(error, paths):
        settler.hold(name, now, reason=_FILE_HOLDS[error.code], detail=error.message)
    else:
        settler.put_back(name, now)


def settling(settler: Settler) -> bool:
    """Whether anything in the inbox may still become a job by itself."""
    return settler.expecting or any(each.reason in _TRANSITORY for each in settler.waiting().values())


def waiting_files(
    settler: Settler, *, now: float, older_than: float, running: Collection[str] = ()
) -> list[dict[str, Any]]:
    """Files that have been in the inbox longer than ``older_than`` seconds, each with its reason, the oldest first.

    What may not be read or moved needs a person and is shown at once. ``running`` are the names in work, which are
    not shown. Of very many a thousand are shown: those that wait for more than their turn before the others.
    """
    shown = (
        (name, waiting)
        for name, waiting in settler.waiting().items()
        if (now - waiting.since >= older_than or waiting.reason in _AT_ONCE)
        and not (waiting.reason is WaitReason.IN_WORK and name in running)
    )
    first = heapq.nsmallest(_MOST_SHOWN, shown, key=lambda each: (each[1].reason in _IN_TURN, each[1].since))
    return [
        {
            "name": name,
            "reason": (WaitReason.QUEUED if waiting.reason is WaitReason.IN_WORK else waiting.reason).value,
            "detail": waiting.detail,
            "seconds": round(now - waiting.since),
        }
        for name, waiting in first
    ]


def unlisted(problems: Iterable[HostError], inbox: Path) -> list[dict[str, Any]]:
    """What a scan could not look at, in the form of :func:`waiting_files`."""
    prefix = f"{inbox}/"
    reason = WaitReason.UNREADABLE.value
    return [
        {"name": each.path.removeprefix(prefix), "reason": reason, "detail": each.message, "seconds": 0}
        for each in problems
    ]


def needs_person(report: dict[str, Any]) -> bool:
    """Whether a folder's report calls for somebody: a long queue alone does not."""
    stuck = any(each["reason"] not in _IN_TURN for each in report["files"])
    return bool(report["hold"]) or stuck or report["state"] == "not answering"

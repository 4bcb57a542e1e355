"""What needs a person, the most pressing first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from srwatchd.console.files import relative_to_error
from srwatchd.console.jobs import jobs_of
from srwatchd.console.shapes import Attention
from srwatchd.errors import HINTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from srwatchd.console.desk import Desk
    from srwatchd.console.history import Alarm
    from srwatchd.console.ledgershapes import Verification
    from srwatchd.console.shapes import Daemon, Folder, Job

__all__ = ["attention"]

_ERRORS: Final = 20
_IN_TURN: Final = "queued"
_WAITS: Final = {
    "settling": "it is still being written to",
    "writer_open": "a program has it open for writing",
    "no_marker": "its marker has not come",
    "empty": "it has no content",
    "too_small": "it is smaller than the folder's min_size",
    "hole_at_end": "its end was never written",
    "undecodable": "it is no whole picture yet",
}
"""Why a file has been in the inbox for long, by the reason that the status gives."""
_WAITS_FOR: Final = {
    "writer_open": "Close it in the program that has it open, or wait until its upload has ended.",
    "no_marker": "Make the file NAME.done beside it, or remove it.",
    "empty": "Drop it again from its source, or remove it.",
    "too_small": "Lower min_size, or remove it.",
    "hole_at_end": "Drop it again from its source.",
    "undecodable": "Drop it again from its source.",
    "settling": "Wait until its upload has ended.",
}
_BROKEN: Final = frozenset({"broken", "failed"})


async def attention(desk: Desk, daemon: Daemon, folders: Sequence[Folder]) -> list[Attention]:
    """Everything of the moment that somebody has to look at."""
    waiting = [each for each in await desk.history.quarantined(_ERRORS) if relative_to_error(desk.config, each.account)]
    jobs = [job for job in await jobs_of(desk, waiting) if job.retryable]
    return [
        *_daemon(daemon),
        *_ledger(await desk.history.alarms(), desk.verifier.last),
        *(found for folder in folders for found in _folder(folder)),
        *map(_error, jobs),
    ]


def _daemon(daemon: Daemon) -> Iterator[Attention]:
    if not daemon.running:
        code = daemon.code or "not_running"
        yield Attention(kind="daemon", code=code, message=daemon.message or "", hint=daemon.hint or HINTS[code])


def _ledger(alarms: Sequence[Alarm], verification: Verification | None) -> Iterator[Attention]:
    hint = HINTS["ledger_broken"]
    if verification is not None and verification.state in _BROKEN:
        message = verification.message or "the verification did not end well"
        yield Attention(kind="ledger", code="ledger_broken", message=message, hint=hint, since=verification.ended)
    for alarm in alarms[:1]:
        message = f"the chain was found broken before line {alarm.sequence}: {alarm.what}"
        yield Attention(kind="ledger", code="ledger_broken", message=message, hint=hint, since=alarm.at)


def _folder(folder: Folder) -> Iterator[Attention]:
    if folder.hold is not None:
        hold = folder.hold
        kind: Final = "disk" if hold.code in ("disk_full", "read_only") else "hold"
        yield Attention(
            kind=kind, folder=folder.id, code=hold.code, message=hold.message, hint=hold.hint, since=hold.since
        )
    elif folder.state == "not answering":
        message = f"the folder {folder.id} does not answer"
        yield Attention(
            kind="hold", folder=folder.id, code="not_answering", message=message, hint=HINTS["not_answering"]
        )
    for file in folder.files:
        if file.reason != _IN_TURN:
            yield Attention(
                kind="file",
                folder=folder.id,
                name=file.name,
                code=file.reason,
                message=file.detail or _WAITS.get(file.reason, file.reason),
                hint=HINTS.get(file.reason) or _WAITS_FOR.get(file.reason, ""),
            )


def _error(job: Job) -> Attention:
    return Attention(
        kind="error",
        folder=job.folder,
        name=job.name,
        code=job.code or "internal_error",
        message=job.message or "",
        hint=job.hint or "",
        job=job.job,
        since=job.ended_at,
    )

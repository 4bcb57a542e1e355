"""What the status shows of one folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from srwatchd.daemon.jobrun import Verdict

if TYPE_CHECKING:
    from srwatchd.daemon.folder import ServedFolder

__all__ = ["folder_report"]


def folder_report(folder: ServedFolder) -> dict[str, Any]:
    """The part of ``srwatchd status --json`` that is about ``folder``."""
    return {
        "id": folder.config.id,
        "state": _state(folder),
        "paused": folder.paused,
        "hold": folder.hold.to_dict() if folder.hold else None,
        "waiting": folder.waiting,
        "retrying": folder.retrying,
        "in_work": folder.in_work,
        "delivered": folder.counts[Verdict.DELIVERED],
        "quarantined": folder.counts[Verdict.QUARANTINED],
        "model": folder.config.model,
        "files": folder.waiting_files(),
        "warnings": [] if folder.premises is None else folder.premises.warnings,
    }


def _state(folder: ServedFolder) -> str:
    if folder.stalled or folder.hold is not None:
        return "not answering" if folder.stalled else "held"
    return "active" if folder.in_active_hours else "outside active hours"

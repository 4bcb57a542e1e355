"""What the status shows of one folder, and of one picture in work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from srwatchd.daemon.jobrun import Verdict

if TYPE_CHECKING:
    from srwatchd.daemon.folder import ServedFolder
    from srwatchd.daemon.jobrun import JobRun
    from srwatchd.pipeline.stages import Choice

__all__ = ["folder_report", "run_report"]


def folder_report(folder: ServedFolder, choice: Choice | None = None) -> dict[str, Any]:
    """The part of ``srwatchd status --json`` that is about ``folder``; without a ``choice`` its model is missing."""
    engine = ("", "the model is missing", ()) if choice is None else (choice.engine, choice.reason, choice.warnings)
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
        "engine": engine[0],
        "engine_reason": engine[1],
        "warnings": [*([] if folder.premises is None else folder.premises.warnings), *engine[2]],
    }


def run_report(run: JobRun) -> dict[str, Any]:
    """The part that is about ``run``; its picture's size is 0 until that is known."""
    width, height = run.size
    return {
        "folder": run.folder.config.id,
        "name": run.name,
        "job": run.record.job if run.record else "",
        "stage": run.progress.stage,
        "done": run.progress.done,
        "total": run.progress.total,
        "seconds": round(run.seconds, 1),
        "width": width,
        "height": height,
    }


def _state(folder: ServedFolder) -> str:
    if folder.stalled or folder.hold is not None:
        return "not answering" if folder.stalled else "held"
    return "active" if folder.in_active_hours else "outside active hours"

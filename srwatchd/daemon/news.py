"""What there is to tell of one folder to those outside: counted for the figures, and handed to its hooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from srwatchd.daemon.jobrun import Verdict
from srwatchd.job import State

if TYPE_CHECKING:
    from pathlib import Path

    from srwatchd.config import Folder
    from srwatchd.daemon.holds import Hold
    from srwatchd.daemon.hooks import HookEvent
    from srwatchd.daemon.jobrun import JobRun, Outcome
    from srwatchd.daemon.services import Services
    from srwatchd.job import Record

__all__ = ["News"]


class News:
    """Tells. Called after the ledger knows; returns at once and raises nothing."""

    def __init__(self, config: Folder, services: Services) -> None:
        self._config = config
        self._services = services

    def ended(self, run: JobRun, outcome: Outcome) -> None:
        """A run is over."""
        self._services.tally.ended(self._config.id, run, outcome)
        if outcome.record is not None:
            self._hook(outcome.verdict, outcome.record)

    def recovered(self, record: Record) -> None:
        """A recovery has brought a job to its end."""
        if record.state is State.RELEASED:
            return
        verdict = Verdict(record.state.value)
        code = record.failure.code if record.failure is not None else ""
        self._services.tally.recovered(self._config.id, verdict, code)
        self._hook(verdict, record)

    def held(self, hold: Hold) -> None:
        """The folder is held for a reason that is new."""
        self._services.tally.holds[self._config.id, hold.code] += 1
        facts = {"code": hold.code, "message": hold.message, "hint": hold.hint, "source": hold.path}
        self._tell("hold", facts)

    def _hook(self, verdict: Verdict, record: Record) -> None:
        facts: dict[str, Any] = {"job": record.job, "name": record.name}
        if verdict is Verdict.DELIVERED:
            kept = record.source is not None and self._config.on_success == "archive"
            facts["source"] = _place(self._config.archive, record.source.name) if kept and record.source else ""
            facts["result"] = _place(self._config.done, record.result.name) if record.result is not None else ""
            self._tell("success", facts)
        elif verdict is Verdict.QUARANTINED:
            failure = record.failure
            facts["source"] = _place(self._config.error, record.source.name) if record.source is not None else ""
            told = {} if failure is None else {"code": failure.code, "message": failure.message, "hint": failure.hint}
            self._tell("failure", {**facts, **told})

    def _tell(self, event: HookEvent, facts: dict[str, Any]) -> None:
        if self._services.hooks is not None:
            self._services.hooks.happened(self._config, event, {**facts, "time": self._services.clock()})


def _place(root: Path, name: str) -> str:
    return str(root / name)

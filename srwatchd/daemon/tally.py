"""What has been counted since the process began. It outlives a reload, so that no counter goes backwards in a run."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from srwatchd.daemon.jobrun import Verdict

if TYPE_CHECKING:
    from srwatchd.daemon.jobrun import JobRun, Outcome
    from srwatchd.worker.pool import Pool

__all__ = ["Tally"]

_NANO: Final = 1e-9


@dataclass(slots=True)
class Tally:
    """Counters by the labels that they are shown with: a folder's id first, where there is one."""

    started: float = field(default_factory=time.time)
    """When the process began, seconds since 1970 as the clock was then."""
    loaded: float = 0.0
    """When the present configuration took effect."""
    refused: bool = False
    """Whether a newer configuration was refused since."""
    pictures: Counter[tuple[str, str]] = field(default_factory=Counter)
    input_pixels: Counter[str] = field(default_factory=Counter)
    output_pixels: Counter[str] = field(default_factory=Counter)
    stage_seconds: dict[tuple[str, str], float] = field(default_factory=dict)
    failures: Counter[tuple[str, str]] = field(default_factory=Counter)
    attempts: Counter[tuple[str, str]] = field(default_factory=Counter)
    holds: Counter[tuple[str, str]] = field(default_factory=Counter)
    removed_files: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    removed_bytes: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    hooks: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    restarts: Counter[str] = field(default_factory=Counter)
    _seen: dict[str, int] = field(default_factory=dict)

    def ended(self, folder: str, run: JobRun, outcome: Outcome) -> None:
        """Take in how a run ended, what it worked on, and how long each stage took, whatever came of it."""
        self.pictures[folder, outcome.verdict.value] += 1
        for stage, spent in run.progress.nanoseconds.items():
            key = (folder, stage)
            self.stage_seconds[key] = self.stage_seconds.get(key, 0.0) + spent * _NANO
        code = "" if outcome.error is None else outcome.error.code
        if outcome.verdict is Verdict.DELIVERED:
            self.input_pixels[folder] += run.progress.input_pixels
            self.output_pixels[folder] += run.progress.output_pixels
        elif outcome.verdict is Verdict.QUARANTINED:
            self.failures[folder, code] += 1
        elif outcome.verdict is Verdict.RETRY:
            self.attempts[folder, code] += 1

    def recovered(self, folder: str, verdict: Verdict, code: str = "") -> None:
        """Take in a job that a recovery has brought to its end without a run."""
        self.pictures[folder, verdict.value] += 1
        if verdict is Verdict.QUARANTINED:
            self.failures[folder, code] += 1

    def count_restarts(self, role: str, pool: Pool) -> None:
        """Take in how often workers of ``pool`` were started again since this was last called for that role."""
        now = pool.restarts
        self.restarts[role] += now - self._seen.get(role, 0)
        self._seen[role] = now

    def forget_pools(self) -> None:
        """The pools are gone; new ones begin at nothing."""
        self._seen.clear()

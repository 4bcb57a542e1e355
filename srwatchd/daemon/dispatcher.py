"""The dispatcher: which picture next, how many at once, and what follows from how a run ended."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Final

import structlog

from srwatchd.daemon.jobrun import BLAMELESS, KILLED, JobRun, Outcome, Verdict
from srwatchd.retry import delay
from srwatchd.schedule import RoundRobin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from srwatchd.daemon.folder import ServedFolder
    from srwatchd.daemon.workqueue import Work
    from srwatchd.job import Record

__all__ = ["Dispatcher"]

_log = structlog.get_logger("srwatchd.jobs")
_IDLE_SECONDS: Final = 5.0
_GIVE_BACK_SECONDS: Final = 3.0


class Dispatcher:
    """Keeps ``slots`` runs going, taking turns between the folders by weight.

    ``turned`` is when it last looked for work (monotonic seconds); it does so every few seconds whatever happens.

    A run whose folder hangs takes no slot: the other folders go on. A job that the supervisor's own death interrupted
    runs after everything else that is ready, and alone.
    """

    def __init__(
        self,
        folders: Iterable[ServedFolder],
        *,
        slots: int,
        start: Callable[[ServedFolder, Work], JobRun],
        wake: asyncio.Event,
    ) -> None:
        self.folders = {folder.config.id: folder for folder in folders}
        self.runs: dict[asyncio.Task[Outcome], JobRun] = {}
        self.wake = wake
        self.turned = time.monotonic()
        self._slots = slots
        self._start = start
        self._turns = RoundRobin()
        self._alone = False

    async def loop(self) -> None:
        """Start runs and take in their outcomes until cancelled; the runs go on then."""
        while True:
            self.turned = time.monotonic()
            self.wake.clear()
            while self._start_next():
                pass
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_IDLE_SECONDS):
                    await self.wake.wait()

    @property
    def busy(self) -> bool:
        """Whether anything is in flight."""
        return bool(self.runs)

    async def drain(self, seconds: float) -> None:
        """Wait for the runs in flight; after ``seconds`` cancel the rest, which gives their sources back."""
        if self.runs:
            await asyncio.wait(self.runs, timeout=seconds)
        for task in list(self.runs):
            task.cancel()
        if self.runs:
            await asyncio.wait(list(self.runs), timeout=_GIVE_BACK_SECONDS)

    def _start_next(self) -> bool:
        working = sum(not run.folder.stalled for run in self.runs.values())
        if working >= self._slots or (self._alone and working):
            return False
        ready = {name: folder.config.weight for name, folder in self.folders.items() if folder.has_work()}
        if ready:
            folder = self.folders[self._turns.next(ready)]
            self._launch(folder, folder.next_work())
            return True
        if self.runs:
            return False
        for folder in self.folders.values():
            work = folder.next_interrupted()
            if work is not None:
                self._alone = True
                self._launch(folder, work)
                return True
        return False

    def _launch(self, folder: ServedFolder, work: Work) -> None:
        run = self._start(folder, work)
        folder.started(run)
        task = asyncio.create_task(run.run(), name=f"job {folder.config.id}")
        self.runs[task] = run
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Outcome]) -> None:
        run = self.runs.pop(task)
        if not self.runs:
            self._alone = False
        self.wake.set()
        if task.cancelled():
            run.folder.settled(run, None)
            return
        outcome = task.result()
        wait = 0.0
        if outcome.verdict is Verdict.RETRY and outcome.record is not None:
            wait = _wait(run.folder, outcome.record)
        run.folder.settled(run, outcome, wait=wait)
        _report(run, outcome)


def _wait(folder: ServedFolder, record: Record) -> float:
    """Seconds until the next attempt; at once when the last one was only killed from outside."""
    last = record.attempts[-1].code
    if last == KILLED:
        return 0.0
    like = [attempt for attempt in record.attempts if (attempt.code in BLAMELESS) == (last in BLAMELESS)]
    policy = folder.config.retry
    return delay(len(like), initial=policy.initial_delay, maximum=policy.max_delay, job=record.job)


def _report(run: JobRun, outcome: Outcome) -> None:
    """One canonical line a run."""
    if outcome.verdict is Verdict.DECLINED:
        _log.debug("declined", folder=run.folder.config.id, name=run.name, reason=_code(outcome))
        return
    fields = {
        "folder": run.folder.config.id,
        "name": run.name,
        "job": outcome.record.job if outcome.record else "",
        **{f"{stage}_ms": round(spent / 1e6, 1) for stage, spent in run.progress.nanoseconds.items()},
    }
    if outcome.error is None:
        placed = outcome.record.result.name if outcome.record and outcome.record.result else ""
        _log.info(outcome.verdict.value, result=placed, **fields)
    else:
        _log.warning(outcome.verdict.value, code=_code(outcome), reason=outcome.error.message, **fields)


def _code(outcome: Outcome) -> str:
    return outcome.error.code if outcome.error is not None else ""

"""``srwatchd upscale``: a batch of pictures through the daemon's stages, without a daemon; sources are only read.

Decoding, inference and encoding of different pictures overlap. A bad picture fails alone; what the machine is at
fault for (a full disk, a ledger that cannot be written) ends the batch, and a rerun with ``skip_existing`` goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import signal
import time
import uuid
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from srwatchd.audit import Entry
from srwatchd.audit.origin import timestamp
from srwatchd.daemon.batchrun import JOB_PREFIX, BatchRun, Fate, Result, Workbench
from srwatchd.daemon.crew import Crew
from srwatchd.daemon.lane import Lane
from srwatchd.daemon.offline import open_ledger
from srwatchd.daemon.state import StateDirectory
from srwatchd.delivery import Destination
from srwatchd.errors import FatalError, HostError, SrwatchdError
from srwatchd.storage import host_errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from srwatchd.audit import Ledger
    from srwatchd.config import Config, Folder
    from srwatchd.config.models import ModelSpec
    from srwatchd.daemon.crew import CrewSettings
    from srwatchd.daemon.selection import Source
    from srwatchd.pipeline.stages import Choice

__all__ = ["Listener", "Order", "Report", "run_batch"]

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_LITTLE: Final = 1 << 20
"""Bytes of files, about a megapixel: timing the engines would take as long as they save."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a batch is to do. ``folder`` carries the output settings, limits and retries; results go to its ``done``."""

    sources: tuple[Source, ...]
    spec: ModelSpec
    folder: Folder
    crew: CrewSettings
    skip_existing: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """How a batch ended. ``left`` were not finished: it was ``interrupted``, or ``stopped`` by the machine's fault."""

    batch: str
    results: tuple[Result, ...]
    left: tuple[Source, ...]
    choice: Choice | None
    interrupted: bool = False
    stopped: SrwatchdError | None = None

    def count(self, fate: Fate) -> int:
        """How many pictures ended like this."""
        return sum(result.fate is fate for result in self.results)

    @property
    def exit_status(self) -> int:
        """0 when every picture has its result, 3 when one has not, 130 after a signal, that of a fatal error."""
        if self.interrupted:
            return 130
        if isinstance(self.stopped, FatalError):
            return self.stopped.exit_code
        return 3 if self.left or self.stopped or self.count(Fate.FAILED) else 0


class Listener(Protocol):
    """Who is told how a batch goes on; called in the event loop, must not block."""

    def chosen(self, choice: Choice) -> None:
        """The model is loaded and its engine chosen."""

    def ended(self, result: Result) -> None:
        """A picture is done with."""

    def advanced(self, done: float, running: Sequence[BatchRun]) -> None:
        """``done`` pictures, the begun ones by their share; those in work. Called a few times a second."""


def run_batch(order: Order, listener: Listener, *, config: Config | None = None) -> Report:
    """Do ``order``; with ``config`` under its state's lock and recorded in its ledger.

    SIGINT, SIGTERM and SIGHUP end it after the step on the disk that is under way: every result that appeared is
    whole and recorded, nothing staged is left. Raises InstanceError (before anything is done) when a daemon holds the
    lock, ModelError, and HostError when the output folder or the ledger cannot be opened.
    """
    output = order.folder.output
    destination = Destination(
        order.folder.done, file_mode=output.file_mode, dir_mode=output.dir_mode, group=output.group
    )
    with _recording(config) as ledger:
        with host_errors(destination.root, "making the folder"):
            destination.root.mkdir(parents=True, exist_ok=True)
        destination.sweep(_NotOurs())
        return asyncio.run(_Batch(order, destination, listener, ledger).run())


class _Batch:
    """One run of the command."""

    def __init__(self, order: Order, destination: Destination, listener: Listener, ledger: Ledger | None) -> None:
        self._order = order
        self._destination = destination
        self._listener = listener
        self._ledger = ledger
        self._id = uuid.uuid4().hex
        self._queue = deque(order.sources)
        self._running: list[BatchRun] = []
        self._results: list[Result] = []
        self._choice: Choice | None = None
        self._stopped: SrwatchdError | None = None
        self._interrupted = False

    async def run(self) -> Report:
        """Do the work until it is done or a signal comes, then say how it went."""
        begin = time.monotonic_ns()
        self._tell("batch.started", {**_who(), "srwatchd.batch.pictures": len(self._queue)})
        loop = asyncio.get_running_loop()
        working = asyncio.create_task(self._work())

        def interrupt() -> None:
            """Stop the batch; a second time does nothing more."""
            if not self._interrupted:
                self._interrupted = True
                working.cancel()

        for number in _SIGNALS:
            loop.add_signal_handler(number, interrupt)
        try:
            await working
        except asyncio.CancelledError:
            if not self._interrupted:
                raise
        except SrwatchdError as error:
            self._stopped = error
            raise
        finally:
            report = self._report()
            self._tell_end(report, time.monotonic_ns() - begin)
        return report

    async def _work(self) -> None:
        order = self._order
        if not order.sources:
            return
        lane = Lane("batch")
        try:
            async with Crew(order.crew) as crew:
                crew.hasten()
                self._choice = choice = await crew.choose(order.spec, timed=not _little(order.sources))
                self._listener.chosen(choice)
                bench = Workbench(
                    batch=self._id,
                    spec=order.spec,
                    folder=order.folder,
                    destination=self._destination,
                    stages=crew.stages({choice.model: choice}),
                    lane=lane,
                    clock=lambda: timestamp(time.time_ns()),
                    skip_existing=order.skip_existing,
                    ledger=self._ledger,
                )
                watching = asyncio.create_task(self._watch())
                try:
                    async with asyncio.TaskGroup() as group:
                        for _ in range(min(crew.slots, len(order.sources))):
                            group.create_task(self._consume(bench))
                finally:
                    watching.cancel()
        finally:
            lane.close()

    async def _consume(self, bench: Workbench) -> None:
        """Take pictures from the queue, one after another, until it is empty or something ends the batch."""
        while self._queue and self._stopped is None:
            run = BatchRun(self._queue.popleft(), bench)
            self._running.append(run)
            try:
                result = await run.run()
            except (HostError, FatalError) as error:
                self._stopped = self._stopped or error
                return
            finally:
                self._running.remove(run)
            self._results.append(result)
            self._listener.ended(result)

    async def _watch(self) -> None:
        while True:
            done = len(self._results) + sum(run.share for run in self._running)
            self._listener.advanced(done, tuple(self._running))
            await asyncio.sleep(0.2)

    def _report(self) -> Report:
        over = {result.source for result in self._results}
        left = tuple(source for source in self._order.sources if source not in over)
        return Report(self._id, tuple(self._results), left, self._choice, self._interrupted, self._stopped)

    def _tell(self, action: str, fields: dict[str, Any], **rest: Any) -> None:
        if self._ledger is not None:
            about = {
                "srwatchd.batch.id": self._id,
                "srwatchd.batch.output": str(self._destination.root),
                "srwatchd.model.name": self._order.spec.name,
                "srwatchd.model.sha256": self._order.spec.sha256,
            }
            self._ledger.append([Entry(action, fields={**about, **fields}, **rest)])

    def _tell_end(self, report: Report, spent: int) -> None:
        counts = Counter({f"srwatchd.batch.{fate.value}": report.count(fate) for fate in Fate})
        fields = {**counts, "srwatchd.batch.left": len(report.left)}
        why = "interrupted" if report.interrupted else report.stopped.message if report.stopped else ""
        with contextlib.suppress(HostError):
            outcome = "failure" if report.exit_status else "success"
            self._tell("batch.ended", fields, outcome=outcome, duration_ns=spent, reason=why)


def _little(sources: Sequence[Source]) -> bool:
    """Whether all files together are small; one that cannot be looked at counts as nothing."""
    room = _LITTLE
    for source in sources:
        with contextlib.suppress(OSError):
            room -= source.path.stat().st_size
        if room < 0:
            return False
    return True


class _NotOurs:
    """Every job that is not a batch's: their staged files are a daemon's to sweep or to go on with."""

    def __contains__(self, job: object) -> bool:
        return not str(job).startswith(JOB_PREFIX)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


@contextlib.contextmanager
def _recording(config: Config | None) -> Iterator[Ledger | None]:
    """The ledger of ``config``, open under its state's lock; None without a configuration."""
    if config is None:
        yield None
        return
    state = StateDirectory.open(config.state_dir)
    try:
        ledger = open_ledger(config)
        ledger.open()
        try:
            yield ledger
        finally:
            ledger.close()
    finally:
        state.close()


def _who() -> dict[str, str]:
    """The user that gave the command."""
    number = os.getuid()
    fields = {"user.id": str(number)}
    with contextlib.suppress(KeyError):
        fields["user.name"] = pwd.getpwuid(number).pw_name
    return fields

"""One hot folder while it is served: patrolled for candidates, held when the host is at fault, taken up again."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import structlog

from srwatchd.daemon.faults import host_error
from srwatchd.daemon.holding import Holding
from srwatchd.daemon.jobrun import Outcome, Verdict
from srwatchd.daemon.lane import Lane
from srwatchd.daemon.lookout import Hints, Lookout
from srwatchd.daemon.news import News
from srwatchd.daemon.premises import Premises
from srwatchd.daemon.waiting import OLD_SECONDS, concerns_source, settling, tell, unlisted, waiting_files
from srwatchd.daemon.workqueue import Work, WorkQueue
from srwatchd.errors import HostError, InstanceError
from srwatchd.intake.order import KNOWN_FILES
from srwatchd.job import FINAL

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from srwatchd.config import Folder
    from srwatchd.config.models import ModelSpec
    from srwatchd.daemon.holds import Hold
    from srwatchd.daemon.jobrun import JobRun
    from srwatchd.daemon.services import Services
    from srwatchd.job import Snapshot
    from srwatchd.pipeline.custody import Custody

__all__ = ["ServedFolder"]

_log = structlog.get_logger("srwatchd.folder")
_ROUND_SECONDS: Final = 5.0
_CLOSE_SECONDS: Final = 3.0
_BATCH: Final = 32
_CLAIMED_SECONDS: Final = 60.0
"""Until the next try with a claimed source that cannot be read."""


class ServedFolder:
    """Everything the daemon knows about one hot folder. Used from the event loop; the disk is touched in its lane."""

    def __init__(
        self,
        config: Folder,
        spec: ModelSpec | None,
        services: Services,
        *,
        settle: float | None = None,
        supply: Callable[[str], Awaitable[ModelSpec]] | None = None,
        known_files: int = KNOWN_FILES,
    ) -> None:
        self.config = config
        self.spec = spec
        """Its model; None while that is missing. Then ``supply`` is asked for it at each look at the hold."""
        self._supply = supply
        self.lane = Lane(config.id)
        self.paused = False
        self.counts: Counter[Verdict] = Counter()
        self.premises: Premises | None = None
        self._services = services
        self._news = News(config, services)
        self._holding = Holding(config, services, self.lane, self._news)
        self._settle = settle
        self._known_files = known_files
        self._lookout: Lookout | None = None  # made together with the premises
        self._queue = WorkQueue()
        self._running: set[JobRun] = set()
        self._trouble: HostError | None = None
        self._lost = False
        self._opening = True
        self.taken_up = False  # whether what an earlier daemon left there has been found
        self._woken = asyncio.Event()
        self._hints = Hints(self._woken.set)
        self._loop = asyncio.get_running_loop()

    @property
    def custody(self) -> Custody:
        """What moves this folder's files; raises HostError while it is not open."""
        return self._open_premises().custody

    # -- patrol --------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Open the folder for the first time. Raises InstanceError; everything else that fails becomes a hold."""
        try:
            await self._take_up()
        except InstanceError:
            raise
        except Exception as error:  # noqa: BLE001 - one folder never keeps the others from being served
            await self._hold(host_error(error))
        finally:
            self._opening = False

    async def patrol(self, opening: Awaitable[None] | None = None) -> None:
        """Watch over the folder until cancelled, from when ``opening`` (its :meth:`open`, still going on) is over."""
        while True:
            try:
                if opening is not None:
                    awaited, opening = opening, None
                    await awaited
                await self._round()
            except InstanceError as error:
                await self._hold(HostError("folder_foreign", error.message, path=str(self.config.inbox)))
            except Exception as error:  # noqa: BLE001 - a defect holds one folder, never the service
                await self._hold(host_error(error))
            self._services.wake()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._seconds_to_next()):
                    await self._woken.wait()
            self._woken.clear()

    async def close(self, *, for_good: bool = False) -> None:
        """Let the folder go; ``for_good`` when it is not served any more, so that nothing may wait in it."""
        if self.premises is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_SECONDS):  # after a long copy, which has its descriptors
                    await self.lane.run_last(self.premises.close, for_good=for_good)
        self.lane.close()

    async def _round(self) -> None:
        if self._trouble is not None:
            trouble, self._trouble = self._trouble, None
            raise trouble
        if self.hold is not None:
            if self._loop.time() < self.hold.next_look or self._running:
                return
            await self._take_up()
        premises = self._open_premises()
        await self.lane.run(premises.check)
        await self.lane.run(premises.follow)
        await self._open_lookout().refresh()
        self._refill()

    async def _take_up(self) -> None:
        """Open what is not open, see that everything is as it should be, and go on with what was left."""
        if self._lost and self.premises is not None:  # only now, as no run uses its descriptors any more
            premises, self.premises, self._lookout = self.premises, None, None
            self._queue.clear_candidates()
            await self.lane.run(premises.close)
        self._lost = False
        if self.premises is None:
            create = self.config.id not in self._services.known
            self.premises = await self.lane.run(
                Premises.open, self.config, self._services, self._hints.put, create=create, settle=self._settle
            )
            self._lookout = Lookout(self.config, self.premises, self.lane, self._hints, known_files=self._known_files)
            self._services.known.put(self.config.id)
        await self.lane.run(self.premises.check)
        if self.hold is not None:
            await self.lane.run(self.hold.check)
        if self.spec is None and self._supply is not None:
            self.spec = await self._supply(self.config.model)
        ended_well = await self._recover(self.premises)
        await self._holding.end()
        if ended_well:
            self._holding.forget()
        self.taken_up = True
        self._open_lookout().scan_soon()

    async def _recover(self, premises: Premises) -> bool:
        """Go on with claims that nobody works on, left by a crash or by a hold; whether any job ended well by that."""
        self._queue.clear_claimed()
        working = {run.record.job for run in self._running if run.record is not None}
        live, ended_well = set(working), False
        for orphan in await self.lane.run(premises.orphans, working):
            self._services.unfinished.discard(orphan.record.job)
            record = await self.lane.run(premises.recover, orphan)
            if record.state in FINAL:
                verdict = Verdict(record.state.value)
                self.counts[verdict] += 1
                ended_well = ended_well or verdict is not Verdict.RELEASED
                self._news.recovered(record)
                _log.info("recovered", folder=self.config.id, name=record.name, job=record.job, ended=verdict.value)
            elif orphan.interruptions:
                live.add(record.job)
                self._queue.add_interrupted(record)
            else:
                live.add(record.job)
                self._queue.add_retry(record, self._loop.time())
        await self.lane.run(premises.custody.close_accounts, live)
        await self.lane.run(premises.custody.sweep, working)
        return ended_well

    def _refill(self) -> None:
        """Reserve the next candidates in the folder's order, a few at a time so that the order stays fresh."""
        if self._queue.candidates < _BATCH:
            for verdict in self._open_lookout().reserve(_BATCH):
                self._queue.add_candidate(verdict)

    def _seconds_to_next(self) -> float:
        now = self._loop.time()
        due = now + _ROUND_SECONDS
        if self.hold is None:
            due = due if self._lookout is None else min(due, self._lookout.next_due)
        elif not self._running:  # while anything runs, its end wakes the patrol
            due = min(due, self.hold.next_look)
        return max(0.005, due - now)

    # -- work ----------------------------------------------------------------------------------------------------

    def has_work(self) -> bool:
        """Whether a run can start now."""
        if not self._may_start():
            return False
        if not self._queue.candidates and self._lookout is not None:
            self._refill()
        return self._queue.ready(self._loop.time())

    def next_work(self) -> Work:
        """What the next run begins with; only after :meth:`has_work` said True."""
        return self._queue.take(self._loop.time())

    def next_interrupted(self) -> Work | None:
        """A job that the supervisor's own death interrupted, to be run alone."""
        return self._queue.take_interrupted() if self._may_start() else None

    def _may_start(self) -> bool:
        at_fault = self._opening or self.stalled or self.hold is not None or self._trouble is not None
        return not at_fault and not self.paused and self.in_active_hours

    def started(self, run: JobRun) -> None:
        """A run of this folder has begun."""
        self._running.add(run)

    def settled(self, run: JobRun, outcome: Outcome | None, *, wait: float = 0.0) -> None:
        """Take in how a run ended; None when it was cancelled. ``wait`` seconds until a retry."""
        self._running.discard(run)
        if outcome is None:
            return
        self.counts[outcome.verdict] += 1
        self._news.ended(run, outcome)
        if outcome.verdict in (Verdict.DELIVERED, Verdict.QUARANTINED):
            self._holding.forget()
        if outcome.verdict is Verdict.RETRY and outcome.record is not None:
            self._queue.add_retry(outcome.record, self._loop.time() + wait)
            self._loop.call_later(wait, self._services.wake)
        if outcome.verdict is Verdict.HELD and isinstance(outcome.error, HostError):
            if run.moving or not concerns_source(outcome.error, self._paths_of(run)):
                self._trouble = outcome.error
            elif outcome.record is not None:
                self._queue.add_retry(outcome.record, self._loop.time() + _CLAIMED_SECONDS)
        if run.fresh and self._lookout is not None:
            tell(self._lookout.settler, run, outcome, now=self._loop.time(), paths=self._paths_of(run))
        self._woken.set()

    def _paths_of(self, run: JobRun) -> tuple[str, ...]:
        job = run.record.job if run.record is not None else ""
        return () if self.premises is None else self.premises.paths_of(run.name, job)

    def open_candidate(self, snapshot: Snapshot) -> int:
        """A descriptor of a candidate that still is what it was; called in the lane."""
        return self._open_premises().open_candidate(snapshot)

    def grace_over(self, name: str) -> bool:
        """Whether an undecodable file has had its grace."""
        return self._open_lookout().settler.grace_over(name, self._loop.time())

    # -- holds ---------------------------------------------------------------------------------------------------

    @property
    def hold(self) -> Hold | None:
        """Why nothing is begun here at the moment."""
        return self._holding.hold

    async def _hold(self, error: HostError) -> None:
        """Stop starting work here until the cause is gone."""
        await self._holding.begin(error, now=self._loop.time())
        self._lost = self._lost or error.code.startswith("folder_")

    @property
    def stalled(self) -> bool:
        """Whether the folder's file system does not answer any more."""
        return self.lane.stalled > 0

    def notice_stall(self) -> None:
        """Say it once when the folder's file system does not answer any more, and once when it does again."""
        self._holding.notice_stall()

    # -- report --------------------------------------------------------------------------------------------------

    @property
    def settled_everything(self) -> bool:
        """Whether nothing is in work, and nothing ready, waiting for a retry or settling that could still be begun."""
        if self._lookout is None or not self._lookout.scanned:
            return self.hold is not None
        if self.paused or not self.in_active_hours:
            return not self._running
        return not (self._queue or self._running or settling(self._lookout.settler))

    @property
    def left(self) -> bool:
        """Whether anything was not finished, whatever the reason."""
        return bool(self.hold or self.stalled or self._queue or self._running or self.waiting_files(older_than=0.0))

    @property
    def waiting(self) -> int:
        """How many files are in the inbox, as far as is known, those in work aside."""
        if self._lookout is None:
            return 0
        settler = self._lookout.settler
        return len(settler) + settler.more - sum(run.fresh and run.name in settler for run in self._running)

    def waiting_files(self, *, older_than: float = OLD_SECONDS) -> list[dict[str, Any]]:
        """Files in the inbox that need a person or have been there longer than ``older_than`` seconds, with reasons."""
        if self._lookout is None or self.premises is None:
            return []
        running, settler = {run.name for run in self._running}, self._lookout.settler
        files = waiting_files(settler, now=self._loop.time(), older_than=older_than, running=running)
        return files + unlisted(self.premises.problems, self.config.inbox)

    @property
    def oldest_since(self) -> float | None:
        """Since when the oldest file in the inbox has been seen (monotonic); None when there is none."""
        return None if self._lookout is None else self._lookout.settler.oldest_since

    @property
    def retrying(self) -> int:
        """How many claimed sources wait for another attempt."""
        return self._queue.claimed

    @property
    def in_work(self) -> int:
        """How many runs are going on."""
        return len(self._running)

    @property
    def space(self) -> dict[str, tuple[int, int]]:
        """Free and whole bytes of the destinations' file systems, as seen last."""
        return {} if self.premises is None else self.premises.space

    @property
    def in_active_hours(self) -> bool:
        """Whether work may begin at this time of day."""
        hours = self.config.active_hours
        return not hours or any(span.contains(datetime.now().astimezone()) for span in hours)

    def _open_premises(self) -> Premises:
        if self.premises is None:
            raise HostError("folder_missing", f"the folder {self.config.id!r} is not open", path=str(self.config.inbox))
        return self.premises

    def _open_lookout(self) -> Lookout:
        self._open_premises()
        assert self._lookout is not None  # noqa: S101 - made together
        return self._lookout

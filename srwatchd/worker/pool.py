"""A fixed number of workers of one role, each lent to one borrower at a time, and replaced when it ends.

Workers start when first needed, or all at once with :meth:`Pool.start`. One that ended is replaced in the background,
so that the next borrower finds it ready; consecutive failures make the waits longer. Every start runs in a task of its
own that a cancelled borrower does not interrupt.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from srwatchd.errors import FatalError, HostError, SrwatchdError
from srwatchd.worker.process import Worker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from srwatchd.worker.confinement import Measure
    from srwatchd.worker.launch import SpawnSettings

__all__ = ["Initialisation", "Policy", "Pool", "WorkerState"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Initialisation:
    """An op that every new worker does before it is lent, such as loading a model; ``deadline`` in seconds."""

    op: str
    params: dict[str, Any] = field(default_factory=dict)
    deadline: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """When workers are replaced, and how patiently.

    After n consecutive failures (starts that fail, workers that end before their first op is done) the next start
    waits ``initial_delay * 2**(n - 1)`` seconds, at most ``max_delay``. ``attempts`` failed starts in a row raise.
    ``recycle_after`` ops or ``recycle_age`` seconds replace a worker that is returned in good health.
    """

    initial_delay: float = 0.5
    max_delay: float = 30.0
    attempts: int = 3
    recycle_after: int | None = None
    recycle_age: float | None = None

    def delay(self, failures: int) -> float:
        """Seconds to wait before a start after ``failures`` consecutive failures."""
        return min(self.max_delay, self.initial_delay * 2 ** min(failures - 1, 30)) if failures else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerState:
    """One place in the pool, for the status. Times are seconds of the event loop's monotonic clock.

    ``phase`` is ``absent`` (starts when needed), ``starting``, ``idle`` or ``busy`` (lent). ``facts`` is what its
    initialisation returned, ``failures`` counts consecutive ones, ``last_error`` says why the last start failed,
    ``confinement`` what it gave up when it started. ``due`` is when its op must have made progress again: a worker that
    is overdue has been killed, unless something is wrong with the supervisor itself.
    """

    role: str
    pid: int | None
    phase: Literal["absent", "starting", "idle", "busy"]
    op: str
    busy_since: float | None
    last_progress: float | None
    progress: dict[str, Any]
    completed: int
    failures: int
    last_error: str
    facts: dict[str, Any]
    confinement: tuple[Measure, ...] = ()
    due: float | None = None


@dataclass(slots=True, eq=False)
class _Place:
    """Room for one worker."""

    worker: Worker | None = None
    starting: asyncio.Task[None] | None = None
    lent: bool = False
    generation: int = 0
    starts: int = 0
    facts: dict[str, Any] = field(default_factory=dict)
    unpaid: int = 0
    """What ``worker.completed`` was when it was first ready: its initialisation is no work."""
    failures: int = 0
    failed_starts: int = 0
    last_error: str = ""

    @property
    def worked(self) -> int:
        """Ops that the present worker completed for borrowers."""
        return 0 if self.worker is None else max(0, self.worker.completed - self.unpaid)


class Pool:
    """``count`` workers made from ``settings``; see the module. Used from one event loop only."""

    def __init__(
        self,
        settings: SpawnSettings,
        *,
        count: int,
        initialise: Initialisation | None = None,
        policy: Policy | None = None,
    ) -> None:
        self._settings = settings
        self._initialise = initialise
        self._policy = policy or Policy()
        self._places = [_Place() for _ in range(count)]
        self._free = asyncio.Semaphore(count)
        self._generation = 0
        self._closed = False

    async def start(self) -> None:
        """Have every worker ready now. Raises what :meth:`worker` raises for one that does not start."""
        self._refuse_when_closed()
        await self._started([place for place in self._places if not place.lent and not self._fit(place)])

    def hasten(self) -> None:
        """Begin to start one worker that is absent, for whoever needs it soon; that one learns of what goes wrong."""
        absent = [place for place in self._places if place.worker is None and place.starting is None]
        if absent and not self._closed:
            self._begin(absent[0])

    @contextlib.asynccontextmanager
    async def worker(self) -> AsyncIterator[Worker]:
        """Lend a worker that is ready, waiting in order for a free one.

        Raises ``HostError("workers_unavailable")`` when it does not start, or the pool is closed; errors of the
        initialisation that concern the host or are fatal (a missing model) come through as they are. The worker
        belongs to the borrower until the block ends; if its op is still going on then, it is killed.
        """
        async with self._free:
            self._refuse_when_closed()
            place = min((place for place in self._places if not place.lent), key=self._rank)
            place.lent = True
            try:
                yield await self._ready(place)
            finally:
                place.lent = False
                self._returned(place)

    async def restart(self, settings: SpawnSettings | None = None, *, initialise: Initialisation | None = None) -> None:
        """Replace every worker, from now on with ``settings`` and ``initialise`` where given.

        Idle ones are replaced before this returns (raising as :meth:`start` does), lent ones when they come back.
        """
        self._refuse_when_closed()
        self._settings = settings or self._settings
        self._initialise = initialise or self._initialise
        self._generation += 1
        present = [place for place in self._places if place.worker is not None or place.starting is not None]
        await _cancelled(present)
        for place in present:
            place.failures = place.failed_starts = 0
        await self._started([place for place in present if not place.lent])

    async def close(self, timeout: float) -> None:  # noqa: ASYNC109  it kills instead of raising
        """Lend nothing more, wait ``timeout`` seconds for the borrowers, then end every process and reap it.

        The latter is a matter of milliseconds; at worst it takes seven seconds more. A call that is cut off raises
        ``HostError("workers_unavailable")``. Only a process that sleeps in the kernel on a hung disk can remain,
        already killed.
        """
        self._closed = True
        await _cancelled(self._places)
        taken = 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while taken < len(self._places):
                    await self._free.acquire()
                    taken += 1
        for _ in range(taken):
            self._free.release()
        workers = [place.worker for place in self._places if place.worker is not None]
        await asyncio.gather(*(worker.stop() for worker in workers))
        await _cancelled(self._places)

    @property
    def restarts(self) -> int:
        """How often a worker was started in the place of another one, for whatever reason."""
        return sum(max(0, place.starts - 1) for place in self._places)

    def states(self) -> tuple[WorkerState, ...]:
        """What every place is doing now."""
        return tuple(map(self._state, self._places))

    def _state(self, place: _Place) -> WorkerState:
        worker = place.worker if place.worker is not None and place.worker.alive else None
        phase: Literal["absent", "starting", "idle", "busy"] = "absent"
        if place.starting is not None and not place.starting.done():
            phase = "starting"
        elif worker is not None:
            phase = "busy" if place.lent else "idle"
        return WorkerState(
            role=self._settings.role,
            pid=None if worker is None else worker.pid,
            phase=phase,
            op="" if worker is None else worker.op,
            busy_since=None if worker is None else worker.busy_since,
            last_progress=None if worker is None else worker.progressed_at,
            progress={} if worker is None else worker.progress,
            completed=place.worked,
            failures=place.failures,
            last_error=place.last_error,
            facts=place.facts if worker is not None else {},
            confinement=() if worker is None else worker.confinement,
            due=None if worker is None else worker.due,
        )

    def _refuse_when_closed(self) -> None:
        if self._closed:
            raise HostError("workers_unavailable", f"the {self._settings.role} workers are being stopped")

    def _usable(self, place: _Place) -> Worker | None:
        """Its worker, if that is alive, idle and of the present settings."""
        worker = place.worker
        current = place.generation == self._generation
        return worker if worker is not None and current and worker.alive and worker.busy_since is None else None

    def _fit(self, place: _Place) -> bool:
        """Whether its worker is usable and not due for recycling."""
        worker, policy = self._usable(place), self._policy
        if worker is None:
            return False
        if policy.recycle_after is not None and place.worked >= policy.recycle_after:
            return False
        age = asyncio.get_running_loop().time() - worker.started_at
        return policy.recycle_age is None or age < policy.recycle_age

    def _rank(self, place: _Place) -> int:
        """Which free place to lend first: ready, then on its way, then absent."""
        starting = place.starting is not None and not place.starting.done()
        return 0 if self._fit(place) and not starting else 1 if starting else 2

    async def _ready(self, place: _Place) -> Worker:
        """Its worker, started if need be. A new one is lent at least once, whatever its age."""
        if place.starting is None or place.starting.done():
            if self._fit(place) and place.worker is not None:
                return place.worker
            self._begin(place)
        while True:
            starting = self._begin(place) if place.starting is None else place.starting
            # Not awaited itself: our own cancellation must not reach it, nor its cancellation us.
            await asyncio.wait({starting})
            self._refuse_when_closed()
            if not starting.cancelled():
                starting.result()
            if (worker := self._usable(place)) is not None:
                return worker
            if place.starting is starting:
                place.starting = None

    async def _started(self, places: Iterable[_Place]) -> None:
        """Begin the start of ``places`` and wait for all; raises the first error."""
        tasks = [
            self._begin(place) if place.starting is None or place.starting.done() else place.starting
            for place in places
        ]
        if tasks:
            await asyncio.wait(tasks)
        self._refuse_when_closed()
        for task in tasks:
            if not task.cancelled():
                task.result()

    def _begin(self, place: _Place) -> asyncio.Task[None]:
        task = asyncio.create_task(self._start(place), name=f"start {self._settings.role} worker")
        task.add_done_callback(lambda done: done.cancelled() or done.exception())  # seen, if nobody waits for it
        place.starting = task
        return task

    async def _start(self, place: _Place) -> None:
        """End what is left of the old worker, then start a new one, again and again up to the policy's limit."""
        if place.worker is not None:
            await place.worker.stop()
            place.worker = None
        while True:
            await asyncio.sleep(self._policy.delay(place.failures))
            try:
                await self._start_once(place)
            except FatalError:
                raise
            except SrwatchdError as error:
                place.failures += 1
                place.failed_starts += 1
                place.last_error = error.message
                if isinstance(error, HostError) and error.code != "workers_unavailable":
                    raise
                if place.failed_starts >= self._policy.attempts:
                    text = f"{self._settings.role} workers do not start: {error.message}"
                    raise HostError("workers_unavailable", text) from error
            else:
                place.failed_starts, place.last_error = 0, ""
                return

    async def _start_once(self, place: _Place) -> None:
        generation, first = self._generation, self._initialise
        worker = await Worker.spawn(self._settings)
        try:
            facts = {} if first is None else await worker.call(first.op, first.params, deadline=first.deadline)
        except BaseException:
            worker.kill()
            await worker.gone()
            raise
        place.worker, place.facts, place.generation = worker, facts, generation
        place.unpaid = worker.completed
        place.starts += 1

    def _returned(self, place: _Place) -> None:
        """Look at what a borrower gives back, and replace it in the background when it is no longer fit."""
        worker = place.worker
        if worker is None:
            return
        if worker.busy_since is not None:
            worker.kill("cancelled")
        if place.worked:
            place.failures = 0
        elif not worker.alive and worker.ending not in ("cancelled", "stopped"):
            place.failures += 1
        if not self._closed and not self._fit(place) and (place.starting is None or place.starting.done()):
            self._begin(place)


async def _cancelled(places: Iterable[_Place]) -> None:
    """Cancel the starts that are under way and wait until they have cleaned up."""
    tasks = [place.starting for place in places if place.starting is not None and not place.starting.done()]
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)

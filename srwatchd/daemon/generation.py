"""What serves one configuration: workers, folders and the dispatcher. A reload replaces it whole."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import structlog

from srwatchd import __version__
from srwatchd.audit import Entry
from srwatchd.audit.origin import timestamp
from srwatchd.config.models import find_models, missing_models, verify_file
from srwatchd.daemon.crew import Crew, CrewSettings
from srwatchd.daemon.dispatcher import Dispatcher
from srwatchd.daemon.folder import ServedFolder
from srwatchd.daemon.folderids import KNOWN, PAUSED, FolderIds
from srwatchd.daemon.folderreport import folder_report, run_report
from srwatchd.daemon.jobrun import JobRun, Verdict
from srwatchd.daemon.places import Places
from srwatchd.daemon.retention import Retainer, RetentionMeans, has_rules
from srwatchd.daemon.services import Services
from srwatchd.daemon.waiting import needs_person
from srwatchd.errors import HostError, InstanceError, ModelError
from srwatchd.intake.look import prepare_leases
from srwatchd.intake.order import KNOWN_FILES
from srwatchd.intake.origins import Origins
from srwatchd.worker.confinement import gaps, summary

if TYPE_CHECKING:
    from collections.abc import Mapping

    from srwatchd.audit import Ledger
    from srwatchd.config import Config
    from srwatchd.config.models import ModelSpec
    from srwatchd.daemon.lasting import Lasting
    from srwatchd.daemon.state import StateDirectory
    from srwatchd.daemon.workqueue import Work
    from srwatchd.pipeline.stages import Choice

__all__ = ["Generation"]

_log = structlog.get_logger("srwatchd.daemon")
_ONCE_SETTLE: Final = 2.0
_ONCE_POLL: Final = 0.2
_OPEN_SECONDS: Final = 10.0
_TASKS_SECONDS: Final = 2.0
_STALLED_SECONDS: Final = 60.0
_LEAST_KNOWN_FILES: Final = 2048
"""What each folder remembers at least, of what they share; the fewer, the more scans of a large backlog."""


class Generation:
    """Everything made from one configuration. ``once`` drains the inboxes and ends.

    ``reloaded``: it follows another one, so that an inbox of another daemon is held and does not end the service.
    """

    def __init__(
        self,
        config: Config,
        state: StateDirectory,
        ledger: Ledger,
        *,
        finished: set[str],
        unfinished: set[str],
        lasting: Lasting,
        once: bool = False,
        reloaded: bool = False,
    ) -> None:
        self.config = config
        self.tasks: set[asyncio.Task[None]] = set()
        self._state = state
        self._ledger = ledger
        self._finished = finished
        self._unfinished = unfinished
        self._lasting = lasting
        self._once = once
        self._reloaded = reloaded
        self._paused = FolderIds(state, PAUSED)
        self._known = FolderIds(state, KNOWN)
        self._crew = Crew(CrewSettings.of(config))
        self._dispatcher: Dispatcher | None = None
        self._choices: dict[str, Choice] = {}
        self._supplying = asyncio.Lock()
        self._ticked = time.monotonic()

    @property
    def folders(self) -> dict[str, ServedFolder]:
        """The served folders by id."""
        return {} if self._dispatcher is None else self._dispatcher.folders

    async def start(self) -> None:
        """Check the models, start the workers, open the folders, go on with what a crash left, begin to serve.

        Raises ConfigurationError, ModelError and InstanceError; folders that cannot be opened now are held.
        """
        prepare_leases()
        specs = self._models()
        await self._crew.start()
        self._say_confinement()
        self._choices = await self._choose(specs)
        stages = self._crew.stages(self._choices)
        wake = asyncio.Event()
        services = Services(
            state_id=self._state.identity,
            ledger=self._ledger,
            clock=now,
            wake=wake.set,
            finished=self._finished,
            known=self._known,
            places=Places(self._state),
            origins=Origins(self._state.path / "origins"),
            unfinished=self._unfinished,
            tally=self._lasting.tally,
            hooks=self._lasting.hooks,
        )
        settle = _ONCE_SETTLE if self._once else None
        known = max(_LEAST_KNOWN_FILES, KNOWN_FILES // max(1, len(self.config.folders)))
        served = [
            ServedFolder(each, specs.get(each.model), services, settle=settle, supply=self._supply, known_files=known)
            for each in self.config.folders
        ]

        def begin(folder: ServedFolder, work: Work) -> JobRun:
            """The run for ``work``; only for a folder whose model is there."""
            assert folder.spec is not None  # noqa: S101 - else it is held
            return JobRun(folder, stages, folder.spec, candidate=work.candidate, record=work.record)

        self._dispatcher = Dispatcher(served, slots=self._crew.slots, start=begin, wake=wake)
        for folder in served:
            folder.paused = folder.config.id in self._paused
        await self._open(served)
        self.tasks.add(asyncio.create_task(self._dispatcher.loop(), name="dispatcher"))
        self.tasks.add(asyncio.create_task(self._tick(), name="tick"))
        if self._once:
            self.tasks.add(asyncio.create_task(self._drained(), name="drained"))
        else:
            self._keep_in_bounds(served, services.places)

    def _keep_in_bounds(self, served: list[ServedFolder], places: Places) -> None:
        lasting = self._lasting
        means = RetentionMeans(self.config, self._ledger, lasting.tally, places, lasting.clock)
        for folder in served:
            if has_rules(folder.config):
                self.tasks.add(
                    asyncio.create_task(Retainer(folder, means).loop(), name=f"retention {folder.config.id}")
                )

    async def _open(self, served: list[ServedFolder]) -> None:
        """Open the folders; one whose file system hangs is opened once it answers, and no other one waits for it."""
        opening = {folder: asyncio.create_task(folder.open()) for folder in served}
        self.tasks = set(opening.values())
        done, _ = await asyncio.wait(self.tasks, timeout=_OPEN_SECONDS)
        for task in done:
            if not (self._reloaded and isinstance(task.exception(), InstanceError)):
                task.result()
        self.tasks = {
            asyncio.create_task(folder.patrol(task), name=f"patrol {folder.config.id}")
            for folder, task in opening.items()
        }

    async def stop(self, seconds: float, *, following: Config | None = None) -> None:
        """Finish or give back what is in flight, then end the workers and let the folders go.

        What waits for a retry in a folder that is not in the ``following`` configuration is given back as well: nobody
        would look for it any more.
        """
        for task in self.tasks:
            task.cancel()
        if self.tasks:
            await asyncio.wait(self.tasks, timeout=_TASKS_SECONDS)
        if self._dispatcher is not None:
            await self._dispatcher.drain(seconds)
        self.count_restarts()
        self._lasting.tally.forget_pools()
        await self._crew.close()
        kept = self.config if following is None else following
        inboxes = {folder.inbox for folder in kept.folders}
        folders = self.folders.values()
        await asyncio.gather(*(folder.close(for_good=folder.config.inbox not in inboxes) for folder in folders))

    def record(self, entry: Entry) -> None:
        """Put an entry into the ledger that holds nothing up."""
        with contextlib.suppress(HostError):
            self._ledger.append([entry])

    def pause(self, folder_ids: list[str], *, paused: bool, by: Mapping[str, str] | None = None) -> None:
        """Pause or resume folders, durably; ``by`` is what the ledger is told of who asked for it."""
        for folder_id in folder_ids:
            self.folders[folder_id].paused = paused
            self._paused.put(folder_id, present=paused)
            action = "control.paused" if paused else "control.resumed"
            self.record(Entry(action, fields={"srwatchd.folder": folder_id, **(by or {})}))
        if self._dispatcher is not None:
            self._dispatcher.wake.set()

    def count_restarts(self) -> None:
        """Take in how often workers were started again."""
        for role, pool in (("codec", self._crew.codec), ("infer", self._crew.inference)):
            self._lasting.tally.count_restarts(role, pool)

    # -- report --------------------------------------------------------------------------------------------------

    def makes_progress(self) -> bool:
        """What the service manager's watchdog is told: the loop and the dispatcher turn, and no worker is overdue.

        A worker that makes no progress is killed at its deadline, so that an overdue one means that we do not work.
        """
        turns = [self._ticked] if self._dispatcher is None else [self._ticked, self._dispatcher.turned]
        states = (*self._crew.codec.states(), *self._crew.inference.states())
        signs = [*turns, *(state.due for state in states if state.due is not None)]
        return time.monotonic() - min(signs) < _STALLED_SECONDS

    def headline(self) -> str:
        """One line: the queue and the current picture."""
        held = [folder.config.id for folder in self.folders.values() if folder.hold]
        running = [] if self._dispatcher is None else list(self._dispatcher.runs.values())
        waiting = sum(folder.waiting for folder in self.folders.values())
        current = f", {running[0].name!r} ({running[0].progress.stage})" if running else ""
        return f"{waiting} waiting, {len(running)} in work{current}" + (f", held: {' '.join(held)}" if held else "")

    def totals(self) -> dict[str, int]:
        """How many runs and recoveries ended how, since this configuration took effect."""
        counts: Counter[Verdict] = sum((folder.counts for folder in self.folders.values()), Counter())
        return {verdict.value: number for verdict, number in counts.items()}

    def status(self) -> dict[str, Any]:
        """What ``srwatchd status --json`` prints."""
        folders = [folder_report(each, self._choices.get(each.config.model)) for each in self.folders.values()]
        runs = [] if self._dispatcher is None else list(self._dispatcher.runs.values())
        return {
            "version": __version__,
            "pid": os.getpid(),
            "since": timestamp(int(self._lasting.tally.started * 1e9)),
            "config": str(self.config.source),
            "needs_person": any(map(needs_person, folders)),
            "folders": folders,
            "jobs": {
                "in_work": len(runs),
                "running": [run_report(run) for run in runs],
            },
            "workers": [
                {
                    "role": each.role,
                    "pid": each.pid,
                    "phase": each.phase,
                    "op": each.op,
                    "confinement": [measure.to_wire() for measure in each.confinement],
                }
                for pool in (self._crew.codec, self._crew.inference)
                for each in pool.states()
            ],
        }

    def exit_status(self) -> int:
        """For ``once``: 0 all delivered, 3 some quarantined, 75 something left."""
        if self._dispatcher is None or any(folder.left for folder in self.folders.values()):
            return 75
        return 3 if self.totals().get(Verdict.QUARANTINED.value) else 0

    # -- inside --------------------------------------------------------------------------------------------------

    def _say_confinement(self) -> None:
        """Tell the operators once what workers have given up, as a warning when a measure is missing."""
        for pool in (self._crew.codec, self._crew.inference):
            for state in pool.states()[:1]:
                say = _log.warning if gaps(state.confinement) else _log.info
                say("confinement", role=state.role, measures=summary(state.confinement))

    def _models(self) -> dict[str, ModelSpec]:
        """The models of the folders. One that is missing holds its folders, unless there would be nothing to serve."""
        found = find_models(self.config.models_dir)
        problems = missing_models(self.config, found)
        specs = {folder.model: found[folder.model] for folder in self.config.folders if folder.model in found}
        if problems and (self._once or not (specs or self._reloaded)):
            raise ModelError("model_missing", "; ".join(map(str, problems)))
        for spec in specs.values():
            verify_file(spec)
        return specs

    def _close_accounts(self) -> None:
        """End in the ledger what a crash cut off before anything was moved, or after all was given back.

        Only when every folder has been looked through: what is not found then is nowhere.
        """
        if not self._unfinished or not all(folder.taken_up for folder in self.folders.values()):
            return
        for job in sorted(self._unfinished):
            self.record(Entry("job.released", "unknown", job=job, reason="a crash cut it off while nothing was ours"))
        self._unfinished.clear()

    async def _choose(self, specs: dict[str, ModelSpec]) -> dict[str, Choice]:
        """Load, test and time every model in an inference worker; the engines that will be used."""
        choices = {}
        for spec in specs.values():
            choice = await self._crew.choose(spec)
            choices[spec.name] = choice
            _log.info("model", name=spec.name, engine=choice.engine, reason=choice.reason, tile=choice.tile)
            for each in choice.warnings:
                _log.warning("engine", model=spec.name, reason=each)
            fields = {
                "srwatchd.model.name": spec.name,
                "srwatchd.model.scale": spec.scale,
                "srwatchd.model.sha256": spec.sha256,
                "srwatchd.engine.name": choice.engine,
                "srwatchd.engine.reason": choice.reason,
            }
            self.record(Entry("model.selected", fields=fields))
        return choices

    async def _supply(self, name: str) -> ModelSpec:
        """A model that was missing when this configuration took effect. Raises ModelError while it still is."""
        async with self._supplying:
            found = await asyncio.to_thread(find_models, self.config.models_dir)
            if name not in found:
                raise ModelError("model_missing", f"there is no model {name!r}")
            spec = found[name]
            if name not in self._choices:
                await asyncio.to_thread(verify_file, spec)
                await self._crew.inference.restart()  # the workers gave up what was not there when they started
                self._choices.update(await self._choose({name: spec}))
            return spec

    async def _tick(self) -> None:
        while True:
            self._ticked = time.monotonic()
            for folder in self.folders.values():
                folder.notice_stall()
            self._close_accounts()
            await asyncio.sleep(1.0)

    async def _drained(self) -> None:
        """End when a scan has found nothing that could still become a job."""
        await asyncio.sleep(_ONCE_SETTLE)
        while not all(each.hold or each.stalled or each.settled_everything for each in self.folders.values()):  # noqa: ASYNC110
            await asyncio.sleep(_ONCE_POLL)


def now() -> str:
    """The time as RFC 3339, UTC, microseconds; for people, never for decisions."""
    return timestamp(time.time_ns())

"""The daemon: start-up, main loop and shutdown, each readable in one screen."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import os
import signal
import time
from typing import TYPE_CHECKING, Final, TypeVar

import structlog

from srwatchd import __version__
from srwatchd.audit import Entry, checkpoint
from srwatchd.config import find_models, load, missing_models
from srwatchd.control.socket import ControlServer
from srwatchd.daemon import log
from srwatchd.daemon.clock import AgeClock
from srwatchd.daemon.crashes import STEADY_SECONDS, Crashes
from srwatchd.daemon.equipment import check_equipment
from srwatchd.daemon.generation import Generation
from srwatchd.daemon.hooks import Hooks
from srwatchd.daemon.lasting import Lasting
from srwatchd.daemon.offline import open_ledger
from srwatchd.daemon.requests import Requests
from srwatchd.daemon.state import StateDirectory
from srwatchd.daemon.tally import Tally
from srwatchd.daemon.upkeep import Upkeep
from srwatchd.errors import ConfigurationError, FatalError, HostError
from srwatchd.notify import Notifier, watchdog_interval

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from srwatchd.audit import Ledger
    from srwatchd.config import Config

__all__ = ["Daemon", "run"]

T = TypeVar("T")
_log = structlog.get_logger("srwatchd.daemon")
_STOP_SECONDS: Final = 15.0
"""For the pictures in work; what a hung disk or worker costs after that keeps the whole stop below 25 s."""
_STATUS_SECONDS: Final = 2.0
_AGAIN_SECONDS: Final = 5.0
_HOOKS_SECONDS: Final = 4.0
_DRAIN_SECONDS: Final = 60.0
_WITNESS_SECONDS: Final = 6 * 3600.0
_PATIENCE_SECONDS: Final = 120.0
"""What the service manager is asked for while the start waits for something; asked again well before it is over."""


class _Wish(enum.Enum):
    """What a signal or a request has asked for."""

    NOTHING = 0
    RELOAD = 1
    STOP = 2


class _StoppedError(Exception):
    """A stop was wished for before anything had begun."""


def run(path: Path, *, once: bool = False) -> int:
    """Be the daemon for the configuration at ``path`` until SIGTERM (or, with ``once``, until all is drained).

    Returns the exit status. Raises :class:`FatalError` for what the command line reports and ends with.
    """
    config = load(path)
    log.configure(level=config.log.level, form=config.log.format)
    return asyncio.run(Daemon(config, once=once).run())


class Daemon:
    """Owns what outlives a reload: the state's lock, the ledger, the control socket and the signals."""

    def __init__(self, config: Config, *, once: bool = False) -> None:
        self._config = config
        self._once = once
        self._wish = _Wish.NOTHING
        self._woken = asyncio.Event()
        self._notifier = Notifier.from_environment()
        self._generation: Generation | None = None
        self._serving = asyncio.Event()
        self._finished: set[str] = set()
        self._unfinished: set[str] = set()
        self._tally = Tally()

    async def run(self) -> int:
        """Start up, serve, shut down; the exit status."""
        try:
            return await self._run()
        except _StoppedError:
            return 0

    async def _run(self) -> int:
        async with self._opened() as (state, ledger, crashes):
            requests = Requests(self, ledger)
            control = ControlServer(state.socket, requests.answer)
            await self._patiently(control.listen)
            lasting = Lasting(self._tally, Hooks(ledger, self._tally), AgeClock(state, self._config.audit.path))
            upkeep = Upkeep(ledger, lasting.tally, lasting.clock, lambda: self._generation)
            requests.figures = upkeep.text
            await control.start()
            chores = (self._beat(), self._witness(), self._prove_steady(crashes), upkeep.loop(lambda: self._config))
            tasks = [asyncio.create_task(each) for each in chores]
            try:
                status = await self._main_loop(state, ledger, lasting)
                if self._once and self._wish is not _Wish.STOP:
                    await lasting.hooks.drain(_DRAIN_SECONDS)
                crashes.ended()
            finally:
                self._notifier.stopping("stopping")
                for task in tasks:
                    task.cancel()
                await asyncio.gather(upkeep.close(), lasting.hooks.close(_HOOKS_SECONDS))
                await control.close()
                _record(ledger, Entry("daemon.stopped"))
                await self._checkpoint()
        return status

    @property
    def generation(self) -> Generation:
        """What serves the present configuration. Raises :class:`FatalError` while it is being replaced."""
        if self._generation is None:
            raise FatalError("not_running", "the daemon is starting", hint="Ask again in a moment.")
        return self._generation

    async def served(self, seconds: float | None = None) -> Generation:
        """:attr:`generation` as soon as there is one. Raises :class:`FatalError` when ``seconds`` are over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._generation is None:
                    await self._serving.wait()
        return self.generation

    def stop(self) -> None:
        """Finish or give back what is in flight, then end."""
        self._wish = _Wish.STOP
        self._woken.set()

    def reload(self) -> None:
        """Read the configuration again."""
        if self._wish is not _Wish.STOP:
            self._wish = _Wish.RELOAD
            self._woken.set()

    @contextlib.asynccontextmanager
    async def _opened(self) -> AsyncIterator[tuple[StateDirectory, Ledger, Crashes]]:
        """The state's lock, the ledger and the count of crashes, for the time of the block."""
        os.umask(0o022)
        loop = asyncio.get_running_loop()
        for number, act in ((signal.SIGTERM, self.stop), (signal.SIGINT, self.stop), (signal.SIGHUP, self.reload)):
            loop.add_signal_handler(number, act)
        state = await self._patiently(lambda: StateDirectory.open(self._config.state_dir))
        try:
            crashes = Crashes(state)
            await self._hold_back(crashes)
            ledger = open_ledger(self._config)
            opened = await self._patiently(ledger.open)
            try:
                if opened.mended:
                    _log.warning("ledger mended", path=str(self._config.audit.path))
                _log.info(
                    "started", version=__version__, config=str(self._config.source), sequence=opened.last_sequence
                )
                _record(ledger, Entry("daemon.started", fields={"srwatchd.version": __version__}))
                self._finished, self._unfinished = set(opened.finished), set(opened.unfinished)
                yield state, ledger, crashes
            finally:
                ledger.close()
        finally:
            state.close()

    async def _hold_back(self, crashes: Crashes) -> None:
        """Wait after crashes in a row, when a service manager starts us again and again; a stop ends the wait."""
        if not (crashes.wait and self._notifier.address) or self._once:
            return
        _log.warning("waiting before the start", reason=crashes.reason, seconds=crashes.wait)
        over = time.monotonic() + crashes.wait
        while self._wish is not _Wish.STOP and (left := over - time.monotonic()) > 0:
            self._notifier.extend_timeout(_PATIENCE_SECONDS)
            self._notifier.status(f"{crashes.reason}; waiting {left:.0f} s")
            await self._nap(min(left, _AGAIN_SECONDS))

    async def _nap(self, seconds: float) -> None:
        """Wait, at most until something is wished for."""
        self._woken.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()

    async def _prove_steady(self, crashes: Crashes) -> None:
        """Forget earlier crashes once the service has lasted."""
        while True:
            await asyncio.sleep(STEADY_SECONDS)
            if self._generation is not None:
                crashes.steady()

    async def _patiently(self, attempt: Callable[[], T]) -> T:
        """What ``attempt`` gives; while the disk refuses, nothing is begun and it is tried again, until a stop.

        The service manager is told meanwhile. To end instead would be a restart every few seconds that nobody can
        count, for the count lies in the state directory.
        """
        told = ""
        while True:
            try:
                return attempt()
            except HostError as error:
                if self._once:
                    raise
                if error.message != told:
                    told = error.message
                    _log.error("held", code=error.code, reason=error.message, hint=error.hint)
                self._notifier.extend_timeout(_PATIENCE_SECONDS)
                self._notifier.status(f"held: {error.message}")
                await self._nap(_AGAIN_SECONDS)
                if self._wish is _Wish.STOP:
                    raise _StoppedError from error

    async def _main_loop(self, state: StateDirectory, ledger: Ledger, lasting: Lasting) -> int:
        """Serve one configuration after another until a stop is wished for."""
        again = False
        while True:
            generation = Generation(
                self._config,
                state,
                ledger,
                finished=self._finished,
                unfinished=self._unfinished,
                lasting=lasting,
                once=self._once,
                reloaded=again,
            )
            again = False
            try:
                if await self._begun(generation):
                    self._generation = generation
                    self._serving.set()
                    self._tally.loaded, self._tally.refused = time.time(), False
                    fields = {"srwatchd.configuration.path": str(self._config.source)}
                    _record(ledger, Entry("configuration.loaded", fields=fields))
                    self._notifier.ready(generation.headline())
                    again = await self._serve(generation)
            finally:
                self._generation = None
                self._serving.clear()
                await generation.stop(_STOP_SECONDS, following=self._config)
            if not again or self._wish is _Wish.STOP:
                _log.info("stopped", **generation.totals())
                return generation.exit_status() if self._once else 0

    async def _begun(self, generation: Generation) -> bool:
        """Start ``generation``; False when a stop is wished for before it serves."""
        starting = asyncio.create_task(generation.start())
        while not starting.done() and self._wish is not _Wish.STOP:
            self._woken.clear()
            waiting = asyncio.create_task(self._woken.wait())
            await asyncio.wait({starting, waiting}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
        if starting.cancel():
            with contextlib.suppress(asyncio.CancelledError):
                await starting
            return False
        starting.result()
        return True

    async def _serve(self, generation: Generation) -> bool:
        """Wait for a stop, the end of a drain, the death of a part, or a new configuration: only then True."""
        while True:
            self._woken.clear()
            if self._wish is _Wish.STOP:
                return False
            if self._wish is _Wish.RELOAD and await self._reloaded():
                return True
            waiting = asyncio.create_task(self._woken.wait())
            done, _ = await asyncio.wait({waiting, *generation.tasks}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            for task in done - {waiting}:
                task.result()
            if done - {waiting}:
                return False

    async def _reloaded(self) -> bool:
        """Load the file again. A bad one is refused whole and the old one stays."""
        self._notifier.reloading()
        self._wish = _Wish.NOTHING  # what is wished for from here on is another wish
        try:
            config = await asyncio.to_thread(self._loaded_again)
            if config.engine != self._config.engine:
                await check_equipment(config)
        except (ConfigurationError, FatalError) as error:
            _log.error("configuration refused, the old one stays", reason=error.message)
            self._tally.refused = True
            self.generation.record(Entry("configuration.refused", "failure", reason=error.message))
            self._notifier.ready(self.generation.headline())
            return False
        self._config = config
        log.configure(level=config.log.level, form=config.log.format)
        return True

    def _loaded_again(self) -> Config:
        config = load(self._config.source)
        if (config.state_dir, config.audit.path) != (self._config.state_dir, self._config.audit.path):
            raise FatalError("configuration", "state_dir and audit.path only change with a restart")
        known = find_models(config.models_dir)
        awaited = {folder.config.model for folder in self.generation.folders.values() if folder.spec is None}
        if {folder.model for folder in config.folders} - known.keys() - awaited:
            raise ConfigurationError(tuple(missing_models(config, known)))
        return config

    async def _witness(self) -> None:
        """Put checkpoints of the ledger into the log, which the journal keeps elsewhere."""
        while True:
            await self._checkpoint()
            await asyncio.sleep(_WITNESS_SECONDS)

    async def _checkpoint(self) -> None:
        with contextlib.suppress(OSError):
            made = await asyncio.to_thread(checkpoint, self._config.audit.path)
            if made is not None:
                _log.info("checkpoint", **made.to_dict())

    async def _beat(self) -> None:
        """Tell the service manager what is going on, and that it goes on."""
        interval = min(watchdog_interval() or _STATUS_SECONDS, _STATUS_SECONDS)
        while True:
            if self._generation is None or self._generation.makes_progress():
                self._notifier.watchdog()
            if self._generation is not None:
                self._notifier.status(self._generation.headline())
            await asyncio.sleep(interval)


def _record(ledger: Ledger, entry: Entry) -> None:
    """Record what is good to know but holds nothing up."""
    try:
        ledger.append([entry])
    except HostError as error:
        _log.error("the ledger cannot be written", reason=error.message)

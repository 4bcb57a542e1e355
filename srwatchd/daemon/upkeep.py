"""What the daemon does beside its pictures: figures for Prometheus, and bounds for what it writes itself."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from typing import TYPE_CHECKING, Final

import structlog

from srwatchd.audit import closed_segments
from srwatchd.daemon.faults import host_error
from srwatchd.daemon.figures import Disks, figures
from srwatchd.daemon.lane import Lane
from srwatchd.errors import HostError
from srwatchd.notify.prometheus import render, write_figures

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from srwatchd.audit import Ledger
    from srwatchd.config import Audit, Config
    from srwatchd.daemon.clock import AgeClock
    from srwatchd.daemon.generation import Generation
    from srwatchd.daemon.tally import Tally

__all__ = ["Upkeep", "retire_segments"]

_log = structlog.get_logger("srwatchd.upkeep")
_LEDGER_SECONDS: Final = 600.0
_STARTING_SECONDS: Final = 1.0
_CLOSE_SECONDS: Final = 2.0


class Upkeep:
    """Runs for as long as the daemon, in a thread of its own: a disk that hangs there stops nothing else."""

    def __init__(self, ledger: Ledger, tally: Tally, clock: AgeClock, serving: Callable[[], Generation | None]) -> None:
        self._ledger = ledger
        self._tally = tally
        self._clock = clock
        self._serving = serving
        self._lane = Lane("upkeep")
        self._disks = Disks()
        self._unwritten = ""

    async def loop(self, config: Callable[[], Config]) -> None:
        """Do what is due until cancelled; ``config`` gives the present configuration."""
        next_ledger = 0.0
        while True:
            try:
                await self.tell(config())
            except Exception as error:  # noqa: BLE001 - a defect here costs figures, never pictures
                self._complain(host_error(error))
            if time.monotonic() >= next_ledger:
                next_ledger = time.monotonic() + _LEDGER_SECONDS
                await self._bound_ledger(config().audit)
            await asyncio.sleep(_STARTING_SECONDS if self._serving() is None else config().metrics.interval)

    async def tell(self, config: Config) -> None:
        """Look at the disks, and write the figures as they are now if they are wanted, unless nothing is served."""
        generation = self._serving()
        if generation is None:
            return
        space = {path: free for each in generation.folders.values() for path, free in each.space.items()}
        space |= await self._lane.run(_space, config.state_dir)
        self._disks.update(space, time.monotonic())
        if config.metrics.path is not None:
            await self._lane.run(write_figures, config.metrics.path, self.text())
            self._unwritten = ""

    def text(self) -> bytes:
        """The figures as they are now, in Prometheus' text format; what disks have is as seen last. Touches none."""
        generation = self._serving()
        if generation is not None:
            generation.count_restarts()
        folders = () if generation is None else generation.folders.values()
        return render(figures(folders, self._tally, self._disks, sequence=self._ledger.sequence))

    def _complain(self, error: HostError) -> None:
        """Once for each reason."""
        if error.message != self._unwritten:
            _log.warning("no figures", reason=error.message, hint=error.hint)
        self._unwritten = error.message

    async def close(self) -> None:
        """Finish what is being written, so that no half of it is left; does not wait for a disk that hangs."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._lane.run_last(lambda: None)
        self._lane.close()

    async def _bound_ledger(self, audit: Audit) -> None:
        try:
            for name in await self._lane.run(retire_segments, self._ledger, audit, self._clock):
                _log.info("ledger segment removed", segment=name)
        except (HostError, OSError) as error:
            _log.warning("ledger segments were not removed", reason=str(error))


def retire_segments(ledger: Ledger, audit: Audit, clock: AgeClock) -> list[str]:
    """Remove the oldest closed segments beyond ``audit.max_age`` and ``audit.max_size``; their names. Blocks.

    The segment that is written to always stays. Age is that of a segment's last line, in credible time.
    """
    retired: list[str] = []
    if audit.max_age is None and audit.max_size is None:
        return retired
    clock.look()
    while closed := closed_segments(audit.path):
        sizes = [os.stat(segment).st_size for segment in [*closed, audit.path]]
        large = audit.max_size is not None and sum(sizes) > audit.max_size
        old = audit.max_age is not None and clock.age(os.stat(closed[0]).st_mtime) > audit.max_age
        if not (large or old):
            break
        ledger.retire(closed[0])
        retired.append(closed[0].name)
    return retired


def _space(place: Path) -> dict[str, tuple[int, int]]:
    with contextlib.suppress(OSError):
        space = os.statvfs(place)
        return {str(place): (space.f_bavail * space.f_frsize, space.f_blocks * space.f_frsize)}
    return {}

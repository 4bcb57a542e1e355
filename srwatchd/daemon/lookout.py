"""What lies in an open folder's inbox: known by hints and scans, looked at when due, reserved when ready."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import TYPE_CHECKING, Final

import structlog

from srwatchd.errors import HostError
from srwatchd.intake.settle import Settler, WaitReason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from srwatchd.config import Folder
    from srwatchd.daemon.lane import Lane
    from srwatchd.daemon.premises import Premises
    from srwatchd.intake.hints import Hint
    from srwatchd.intake.settle import Doomed, Ready

__all__ = ["Hints", "Lookout"]

_log = structlog.get_logger("srwatchd.folder")
_MOST_HINTS: Final = 65536
_LOOKS: Final = 256
"""Looks at a time: claims of what is ready already do not wait for a hundred thousand of them."""


class Hints:
    """What the observer's thread tells of a folder, until the event loop takes it; ``wake`` is called in the loop."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._hints: deque[Hint] = deque(maxlen=_MOST_HINTS)
        self._wake = wake
        self._loop = asyncio.get_running_loop()

    def put(self, hint: Hint) -> None:
        """Called in the observer's thread."""
        self._hints.append(hint)
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._wake)

    def __iter__(self) -> Iterator[Hint]:
        """Take them, those included that come meanwhile."""
        while self._hints:
            yield self._hints.popleft()


class Lookout:
    """The candidates of one open folder. Used from the event loop; the disk is touched in the folder's lane."""

    def __init__(self, config: Folder, premises: Premises, lane: Lane, hints: Hints, *, known_files: int) -> None:
        self.settler = Settler(premises.timing, config, limit=known_files)
        self.scanned = False
        """Whether the whole inbox has been seen once."""
        self._config = config
        self._premises = premises
        self._lane = lane
        self._hints = hints
        self._known_files = known_files
        self._next_scan = 0.0
        self._loop = asyncio.get_running_loop()

    def scan_soon(self) -> None:
        """Let the next :meth:`refresh` scan the whole inbox."""
        self._next_scan = 0.0

    @property
    def next_due(self) -> float:
        """When the next :meth:`refresh` has something to do (the loop's time), if no hint comes before."""
        look = self.settler.next_due()
        return self._next_scan if look is None else min(self._next_scan, look)

    async def refresh(self) -> None:
        """Take the hints, scan if it is time for that, and look at what is due. Raises HostError of the folder."""
        await self._take_hints()
        if self._loop.time() >= self._next_scan or self.settler.depleted or not self._premises.watching():
            await self._scan()
        await self._look()

    def reserve(self, limit: int) -> list[Ready | Doomed]:
        """The next ``limit`` files that are ready, in the folder's order; they are somebody's from now on."""
        ready = self.settler.ready(self._loop.time(), limit=limit)
        for each in ready:
            self.settler.reserve(each.snapshot.name)
        return ready

    async def _take_hints(self) -> None:
        for hint in self._hints:
            if self._premises.calls_for_scan(hint):
                self.scan_soon()
            elif self._premises.calls_for_partial_scan(hint):
                started = self._loop.time()
                found = await self._lane.run(self._premises.scan, hint.name, limit=self._known_files)
                self.settler.seen(found.snapshots, self._loop.time(), started=started)
                if found.more:
                    self.scan_soon()
            else:
                self.settler.hinted(hint, self._loop.time())

    async def _scan(self) -> None:
        self._next_scan = self._loop.time() + self._config.rescan_interval
        premises, started = self._premises, self._loop.time()
        if premises.blind is not None or not premises.watching():
            await self._lane.run(premises.watch_again)
        found = await self._lane.run(premises.scan, limit=self._known_files, apart=self.settler.apart())
        self.settler.reconcile(found, self._loop.time(), started=started)
        self.scanned = True
        for problem in premises.news():
            _log.warning("incomplete view", folder=self._config.id, reason=problem.message, hint=problem.hint)

    async def _look(self) -> None:
        names = self.settler.due(self._loop.time(), limit=_LOOKS)
        if not names:
            return
        for name, look in await self._lane.run(self._premises.look_all, names):
            if look is None:
                self.settler.forget(name)
            elif isinstance(look, HostError):
                self.settler.hold(name, self._loop.time(), reason=WaitReason.UNREADABLE, detail=look.message)
            else:
                self.settler.observe(look, self._loop.time())

"""Workers that are there while there is work, and end when there was none for a while."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from srwatchd.worker.pool import Pool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from srwatchd.worker.launch import SpawnSettings
    from srwatchd.worker.process import Worker

__all__ = ["RestingCrew"]

_REST_SECONDS: Final = 60.0
_CLOSE_SECONDS: Final = 1.0


class RestingCrew:
    """At most ``count`` workers from ``settings``, ended after ``rest`` seconds without work. Of one event loop."""

    def __init__(self, settings: SpawnSettings, *, count: int, rest: float = _REST_SECONDS) -> None:
        self._settings = settings
        self._count = count
        self._rest = rest
        self._pool: Pool | None = None
        self._borrowers = 0
        self._resting: asyncio.TimerHandle | None = None
        self._ending: set[asyncio.Task[None]] = set()

    @property
    def resting(self) -> bool:
        """Whether no worker is there."""
        return self._pool is None

    @contextlib.asynccontextmanager
    async def worker(self) -> AsyncIterator[Worker]:
        """Lend a worker, as :meth:`Pool.worker` does."""
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None
        if self._pool is None:
            self._pool = Pool(self._settings, count=self._count)
        self._borrowers += 1
        try:
            async with self._pool.worker() as worker:
                yield worker
        finally:
            self._borrowers -= 1
            if not self._borrowers:
                self._resting = asyncio.get_running_loop().call_later(self._rest, self._end)

    async def close(self) -> None:
        """End every worker now."""
        if self._resting is not None:
            self._resting.cancel()
        self._end()
        if self._ending:
            await asyncio.wait(self._ending)

    def _end(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            task = asyncio.create_task(pool.close(_CLOSE_SECONDS))
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

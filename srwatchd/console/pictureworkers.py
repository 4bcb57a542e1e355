"""The console's own codec workers, and how its memory is lent to what they do."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from srwatchd.console.restingcrew import RestingCrew
from srwatchd.pipeline.memory import Allotment, plan_renditions
from srwatchd.worker.launch import SpawnSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from srwatchd.worker.process import Worker

__all__ = ["PictureWorkers"]

_NICE: Final = 5
_HEAP: Final = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": str(1 << 19),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 20),
}
"""As the daemon's codec workers have it."""


class PictureWorkers:
    """Confined workers for a console of ``memory_limit`` bytes. They start when first needed. Of one event loop."""

    def __init__(self, memory_limit: int) -> None:
        plan = plan_renditions(memory_limit)
        self.share = plan.share
        """The bytes that every worker can have at the same time."""
        self.all = plan.codec
        """What one can have alone."""
        self.crew = RestingCrew(
            SpawnSettings(
                role="codec",
                tasks="srwatchd.pipeline.codec_tasks:TASKS",
                data_limit=plan.limit,
                threads=1,
                nice=_NICE,
                environment=_HEAP,
            ),
            count=plan.workers,
        )
        self._lendable = Allotment(plan.codec)

    @contextlib.asynccontextmanager
    async def lent(self, memory: int) -> AsyncIterator[Worker]:
        """A worker that may take ``memory`` bytes, at most :attr:`all`, however long that takes to be free."""
        async with self._lendable.lent(memory), self.crew.worker() as worker:
            yield worker

    async def close(self) -> None:
        """End every worker."""
        await self.crew.close()

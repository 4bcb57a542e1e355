"""How ``memory_limit`` is shared between the processes of the service, and lent to what they do.

Counted as a control group counts it: private memory of all processes, the hot pages of their libraries, and pages of
rasters and results that are not on the disk yet. docs/large-pictures.md has the measurements.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from srwatchd.pipeline.atrest import CODEC_IDLE, INFERENCE_IDLE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["Allotment", "MemoryPlan", "RenderPlan", "plan_memory", "plan_renditions"]

_MIB: Final = 1 << 20
_SUPERVISOR: Final = 72 * _MIB
_LIBRARIES: Final = 56 * _MIB
"""Pages of programs and libraries in use; the rest of them the kernel drops and reads again."""
_PAGES_PART: Final = 12
_LEAST_PAGES: Final = 40 * _MIB
_LEAST_CODEC: Final = 24 * _MIB
"""What a codec worker needs for rows of 12 megapixels."""
_INFERENCE_PART: Final = 0.58
"""At 1 GiB a picture of 480x320 is then one tile for LapSRN x4, and for EDSR x3 on each of two workers."""
_LARGEST_INFERENCE: Final = 448 * _MIB
"""The largest useful tile of a small network takes no more. A large one (the public EDSR has 154 MB of weights, and an
engine keeps them several times) gets a quarter of what there is, once that is more.
"""
_LARGE_NETWORK_PART: Final = 0.25
_RESERVED: Final = 192 * _MIB
_RESERVED_PER_THREAD: Final = 20 * _MIB
"""What libraries reserve and never touch (stacks of threads, arenas of allocators): ``VmData`` less ``RssAnon``. The
kernel counts it for ``RLIMIT_DATA``; memory it is not.
"""
_RESERVED_BY_DRIVERS: Final = 8 << 30
"""The same for the driver of a GPU. A guess: none was at hand to be looked at."""
_CONSOLE: Final = 72 * _MIB
_CONSOLE_LIBRARIES: Final = 36 * _MIB
_RENDERING: Final = 120 * _MIB
"""What a further worker has to be worth: an everyday picture and the worker itself."""
_MOST_RENDERING: Final = 4


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """How many workers there are, and the bytes of private memory that they may work with besides what they are.

    ``codec`` is for all codec workers together, lent by the operation; ``inference`` is each inference worker's own for
    its networks and tiles; ``pages`` is for pages of rasters that wait for the disk.
    """

    codec_workers: int
    inference_workers: int
    codec: int
    inference: int
    pages: int

    @property
    def codec_share(self) -> int:
        """What every codec worker can have at the same time: enough for an everyday picture."""
        return self.codec // self.codec_workers

    @property
    def alone(self) -> int:
        """What one codec operation can have while nothing else is done, the networks put away."""
        return self.codec + self.inference * self.inference_workers

    @property
    def write_behind(self) -> int:
        """The bytes after which a worker has what it wrote go to the disk; as many again may be on their way.

        A result raster of no more than that has no disk behind it: one for each picture in work is half of ``pages``.
        """
        return self.pages // (2 * (self.codec_workers + self.inference_workers))

    @property
    def inference_memory(self) -> int:
        """Private memory of an inference worker in all."""
        return INFERENCE_IDLE + self.inference

    @property
    def codec_limit(self) -> int:
        """The hard ``RLIMIT_DATA`` of a codec worker; each operation gets a lower one of its own."""
        return CODEC_IDLE + self.alone + self.alone // 4 + _RESERVED

    def inference_limit(self, threads: int, *, accelerated: bool = False) -> int:
        """``RLIMIT_DATA`` of an inference worker with ``threads`` threads: a net, well above what the plan allows.

        ``accelerated``: it may load the driver of an accelerator.
        """
        limit = self.inference_memory + self.inference // 4 + _RESERVED + _RESERVED_PER_THREAD * threads
        return limit + (_RESERVED_BY_DRIVERS if accelerated else 0)


def plan_memory(limit: int, workers: int) -> MemoryPlan:
    """Share ``limit`` bytes between the supervisor, ``workers`` inference workers and one codec worker more.

    One codec worker more than inference workers lets the next picture be decoded and the last one be encoded while
    this one is inferred.
    """
    codec_workers = workers + 1
    pages = max(_LEAST_PAGES, limit // _PAGES_PART)
    idle = _SUPERVISOR + _LIBRARIES + CODEC_IDLE * codec_workers + INFERENCE_IDLE * workers
    rest = max(0, limit - pages - idle)
    largest = max(_LARGEST_INFERENCE, int(rest * _LARGE_NETWORK_PART) // workers)
    shared = min(int(rest * _INFERENCE_PART), max(rest // 2, rest - _LEAST_CODEC * codec_workers))
    inference = min(shared // workers, largest)
    return MemoryPlan(
        codec_workers=codec_workers,
        inference_workers=workers,
        codec=rest - inference * workers,
        inference=inference,
        pages=pages,
    )


@dataclass(frozen=True, slots=True)
class RenderPlan:
    """The same of a console: ``workers`` codec workers that share ``codec`` bytes, besides what they are."""

    workers: int
    codec: int

    @property
    def share(self) -> int:
        """What every worker can have at the same time."""
        return self.codec // self.workers

    @property
    def limit(self) -> int:
        """The hard ``RLIMIT_DATA`` of a worker; each operation gets a lower one of its own."""
        return CODEC_IDLE + self.codec + self.codec // 4 + _RESERVED


def plan_renditions(limit: int) -> RenderPlan:
    """Share ``limit`` bytes between a console and the codec workers that make its pictures."""
    rest = max(0, limit - _CONSOLE - _CONSOLE_LIBRARIES)
    workers = max(1, min(_MOST_RENDERING, rest // _RENDERING))
    return RenderPlan(workers, max(0, rest - CODEC_IDLE * workers))


class Allotment:
    """``total`` bytes that are lent in the order of asking: what does not fit waits, and so does all that comes after.

    So a large picture is not overtaken for ever by small ones. Used from one event loop only.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self.free = total
        self._waiting: collections.deque[tuple[int, asyncio.Future[None]]] = collections.deque()

    @contextlib.asynccontextmanager
    async def lent(self, size: int) -> AsyncIterator[None]:
        """Have ``size`` bytes for the time of the block, waiting for them. Raises ValueError for more than there are.

        A block inside another one's can wait for ever: ask once, for everything.
        """
        if size > self.total:
            raise ValueError(f"{size} of {self.total} bytes")
        await self._taken(size)
        try:
            yield
        finally:
            self._back(size)

    async def _taken(self, size: int) -> None:
        if not self._waiting and size <= self.free:
            self.free -= size
            return
        turn = asyncio.get_running_loop().create_future()
        entry = (size, turn)
        self._waiting.append(entry)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                with contextlib.suppress(ValueError):  # it has been passed over already
                    self._waiting.remove(entry)
                self._serve()
            else:  # lent and cancelled in the same breath
                self._back(size)
            raise

    def _back(self, size: int) -> None:
        self.free += size
        self._serve()

    def _serve(self) -> None:
        while self._waiting and self._waiting[0][0] <= self.free:
            size, turn = self._waiting.popleft()
            if not turn.cancelled():  # else whoever waited has been cancelled and will be told in a moment
                self.free -= size
                turn.set_result(None)

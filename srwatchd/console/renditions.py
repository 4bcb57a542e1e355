"""Pictures for pages: made in a few confined workers of the console's own, and kept for the next who asks.

A page may ask for many at once and then turn to something else. So what several ask for is made once; what nobody waits
for any more is not begun; what has been begun is finished and kept. Workers start with the first picture and end when
none was asked for in a while.
"""

from __future__ import annotations

import asyncio
import collections
import hashlib
import json
import os
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from srwatchd.console.refusals import DeclinedError
from srwatchd.console.shelf import Shelf
from srwatchd.errors import HostError, PermanentError, SrwatchdError, TransientError

if TYPE_CHECKING:
    from pathlib import Path

    from srwatchd.console.pictureworkers import PictureWorkers

__all__ = ["Counts", "Rendition", "Renditions", "View"]

_VERSION: Final = 1
"""Goes up when pictures are made in another way."""
_SECONDS: Final = 60.0
_MOST_WAITING: Final = 256
_AGAIN: Final = frozenset({"worker_died", "worker_killed"})
_TRIES: Final = 2
_MOST_FAILURES: Final = 512
_FAILURE_SECONDS: Final = 60.0
_TYPES: Final = {"jpeg": ("jpg", "image/jpeg"), "png": ("png", "image/png")}
_SOON: Final = {"Retry-After": "2"}
_LATER: Final = {"Retry-After": f"{_FAILURE_SECONDS:.0f}"}
_HINT: Final = "Raise console.memory_limit, or download the file and look at it there."


@dataclass(frozen=True, slots=True)
class View:
    """What is wanted: a region of the upright picture as x, y, width and height (None: all), its longest edge then."""

    longest: int
    region: tuple[int, int, int, int] | None = None
    quality: int = 92


@dataclass(frozen=True, slots=True)
class Rendition:
    """A picture to send: a descriptor that its holder closes, its type, and a tag that stands for its content."""

    descriptor: int
    media_type: str
    tag: str


@dataclass(slots=True)
class Counts:
    """What came of the requests."""

    kept: int = 0
    """Were there already."""
    made: int = 0
    failed: int = 0
    seconds: float = 0.0
    """That making took, waiting included."""


@dataclass(slots=True, eq=False)
class _Making:
    """One picture that is being made: for how many, and whether a worker has begun."""

    waiting: int = 0
    begun: bool = False
    task: asyncio.Future[str] = field(default_factory=asyncio.Future)


class Renditions:
    """The renditions in ``folder``, at most ``most`` bytes, made by ``workers``. Of one event loop."""

    def __init__(self, folder: Path, workers: PictureWorkers, *, most: int) -> None:
        self.counts = Counts()
        self.shelf = Shelf(folder, most)
        self._workers = workers
        self._makings: dict[str, _Making] = {}
        self._failures: collections.OrderedDict[str, tuple[float, SrwatchdError]] = collections.OrderedDict()

    @property
    def in_flight(self) -> int:
        """How many are being made or wait for it."""
        return len(self._makings)

    async def close(self) -> None:
        """Make nothing more."""
        tasks = [each.task for each in self._makings.values()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def shown(self, source: int, view: View, *, max_pixels: int) -> Rendition:
        """``view`` of the picture behind the descriptor ``source``, which stays the caller's.

        Raises what :func:`srwatchd.codec.render.render` raises (``too_large_for_memory`` with the console's own hint),
        DeclinedError 503 when too many wait or workers fail. Cancelling it troubles nobody else who waits.
        """
        key = _key(os.fstat(source), view)
        names = {f"{key}.{suffix}": kind for suffix, kind in _TYPES.values()}
        found = self.shelf.find(*names)  # in no thread: who is cancelled meanwhile could not close it
        if found is None:
            name = await self._joined(key, source, view, max_pixels)
            found = self.shelf.find(name)
        else:
            self.counts.kept += 1
        if found is None:  # more is asked for at once than there is room for
            raise DeclinedError(503, "too_many_requests", "the picture had to make room for others", headers=_SOON)
        return Rendition(found[1], names[found[0]], key)

    async def _joined(self, key: str, source: int, view: View, max_pixels: int) -> str:
        """The file's name, once it is made, by us or by somebody who asked before."""
        making = self._makings.get(key) or self._begun(key, source, view, max_pixels)
        making.waiting += 1
        try:
            return await asyncio.shield(making.task)
        finally:
            making.waiting -= 1
            if not (making.waiting or making.begun):
                self._forget(key, making)
                making.task.cancel()

    def _begun(self, key: str, source: int, view: View, max_pixels: int) -> _Making:
        """Have a picture made. Raises what it failed with a moment ago."""
        since, failure = self._failures.get(key, (0.0, None))
        if failure is not None and time.monotonic() - since < _FAILURE_SECONDS:
            raise failure
        if len(self._makings) >= _MOST_WAITING:
            text = f"{_MOST_WAITING} pictures are waited for already"
            raise DeclinedError(503, "too_many_requests", text, headers=_SOON)
        making, descriptor = _Making(), os.dup(source)
        making.task = asyncio.create_task(self._kept(key, descriptor, view, max_pixels, making), name="rendition")
        self._makings[key] = making

        def ended(task: asyncio.Future[str]) -> None:
            """Close the source and make way for the next one, however it ended."""
            os.close(descriptor)
            self._forget(key, making)
            if not task.cancelled():
                task.exception()  # seen, if nobody waits any more

        making.task.add_done_callback(ended)
        return making

    def _forget(self, key: str, making: _Making) -> None:
        if self._makings.get(key) is making:
            del self._makings[key]

    async def _kept(self, key: str, source: int, view: View, max_pixels: int, making: _Making) -> str:
        """Make a picture and keep it; its file's name."""
        begin = time.monotonic()
        await asyncio.to_thread(self.shelf.prepare)
        staged, target = self.shelf.staged()
        try:
            made = await self._made([source, target], view, max_pixels, making)
            name = f"{key}.{_TYPES[made['format']][0]}"
            await asyncio.to_thread(self.shelf.keep, staged, name)
        except SrwatchdError as error:
            self.counts.failed += 1
            if not isinstance(error, HostError):  # what a disk refuses may work again at once
                self._failures[key] = (time.monotonic(), error)
                while len(self._failures) > _MOST_FAILURES:
                    self._failures.popitem(last=False)
            raise
        finally:
            os.close(target)
            self.shelf.drop(staged)
        self.counts.made += 1
        self.counts.seconds += time.monotonic() - begin
        return name

    async def _made(self, descriptors: list[int], view: View, max_pixels: int, making: _Making) -> dict[str, Any]:
        """What a worker says of the picture that it has made, within its share of the memory or, alone, with all."""
        params = {"view": asdict(view), "max_pixels": max_pixels}
        tries = 1
        memory = self._workers.share
        while True:
            try:
                async with self._workers.lent(memory) as worker:
                    making.begun = True
                    return await worker.call("render", {**params, "memory": memory}, descriptors, deadline=_SECONDS)
            except PermanentError as error:
                if error.code != "too_large_for_memory":
                    raise
                if memory == self._workers.all:
                    raise PermanentError(error.code, error.message, hint=_HINT) from error
                memory = self._workers.all
            except TransientError as error:
                if error.code not in _AGAIN or tries == _TRIES:
                    raise DeclinedError(503, error.code, error.message, headers=_LATER) from error
                tries += 1


def _key(file: os.stat_result, view: View) -> str:
    """Stands for a view of what the file holds now."""
    seen = (_VERSION, file.st_ino, file.st_size, file.st_mtime_ns, view.longest, view.region, view.quality)
    return hashlib.sha256(json.dumps(seen).encode("ascii")).hexdigest()[:40]

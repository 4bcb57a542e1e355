"""A lane: one thread that does the blocking file-system calls of one hot folder, in order, and one for long ones.

A hung network mount then stalls only its own folder, and a copy of gigabytes only its own picture. The threads are
daemon threads, so a call that never returns does not keep the process from ending.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["STALL_SECONDS", "Lane"]

STALL_SECONDS: Final = 60.0
"""A file system that has not answered for so long is taken for hung."""
_LONG_SECONDS: Final = 1.0

T = TypeVar("T")


class Lane:
    """Runs callables one after another in a thread of its own, and those aside in another one, made when needed."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._thread = _Thread(name)
        self._aside: _Thread | None = None
        self._open = True

    @property
    def stalled(self) -> float:
        """Seconds for which one call has neither returned nor read nor written anything.

        0 unless they are more than :data:`STALL_SECONDS`: a copy of gigabytes goes on for as long as it takes. To be
        asked about once a second, as what is read and written is compared with what it was at the last question.
        """
        return max(self._thread.stalled, 0.0 if self._aside is None else self._aside.stalled)

    async def run(self, call: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
        """The result of ``call(*args, **kwargs)``, made in the lane's thread.

        A cancelled caller does not stop the call: what has begun on the disk is always finished.
        """
        return await self._on(self._thread, partial(call, *args, **kwargs))

    async def run_aside(self, call: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
        """:meth:`run`, in the thread for long calls: those of :meth:`run` go on beside it, and may see its steps."""
        if self._aside is None:
            self._aside = _Thread(f"{self._name}-aside")
        return await self._on(self._aside, partial(call, *args, **kwargs))

    async def run_last(self, call: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
        """:meth:`run` after every call before it, those aside, too; then the lane is closed.

        So it is also when the caller does not wait for it.
        """
        future, work = self._prepared(partial(call, *args, **kwargs))
        self._open = False

        def last() -> None:
            """The call, and then the end of the lane's thread."""
            self._thread.put(work)
            self._thread.put(None)

        if self._aside is None:
            last()
        else:
            self._aside.put(last)
            self._aside.put(None)
        return await future

    def close(self) -> None:
        """End the threads after the calls that are queued; does not wait."""
        if self._open:
            self._open = False
            for thread in (self._thread, self._aside):
                if thread is not None:
                    thread.put(None)

    async def _on(self, thread: _Thread, call: Callable[[], T]) -> T:
        future, work = self._prepared(call)
        thread.put(work)
        return await future

    def _prepared(self, call: Callable[[], T]) -> tuple[asyncio.Future[T], Callable[[], None]]:
        """A call that gives what came of it to the future, whichever thread it runs in."""
        if not self._open:
            raise RuntimeError("the lane is closed")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def deliver(result: T) -> None:
            """Give the result to whoever still waits for it."""
            if not future.cancelled():
                future.set_result(result)

        def fail(error: BaseException) -> None:
            """Raise the error where somebody still waits."""
            if not future.cancelled():
                future.set_exception(error)

        def work() -> None:
            """The call; whatever comes of it goes to the loop."""
            try:
                result = call()
            except BaseException as error:  # noqa: BLE001 - handed to the caller
                _post(loop, fail, error)
            else:
                _post(loop, deliver, result)

        return future, work


class _Thread:
    """One thread, and how long it has been at one call."""

    def __init__(self, name: str) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._busy_since: float | None = None
        self._moved: tuple[str, float] = "", 0.0
        self._thread = threading.Thread(target=self._work, name=f"lane-{name}", daemon=True)
        self._thread.start()

    def put(self, call: Callable[[], None] | None) -> None:
        """Queue a call that raises nothing; None ends the thread."""
        self._calls.put(call)

    @property
    def stalled(self) -> float:
        """See :attr:`Lane.stalled`."""
        since, now = self._busy_since, time.monotonic()
        if since is None or now - since < _LONG_SECONDS:
            return 0.0
        counters = self._counters()
        if counters != self._moved[0]:
            self._moved = counters, now
        spent = now - max(since, self._moved[1])
        return spent if spent > STALL_SECONDS else 0.0

    def _counters(self) -> str:
        """What the thread has read and written so far (proc(5), io); "" where the kernel does not count it."""
        with (
            contextlib.suppress(OSError),
            open(f"/proc/self/task/{self._thread.native_id}/io", encoding="ascii") as file,
        ):
            return file.read()
        return ""

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            self._busy_since = time.monotonic()
            call()
            self._busy_since = None


def _post(loop: asyncio.AbstractEventLoop, call: Callable[..., None], *args: Any) -> None:
    """Schedule ``call`` in the loop; a loop that has ended meanwhile has nobody left to tell."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(call, *args)

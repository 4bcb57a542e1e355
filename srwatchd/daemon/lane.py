"""A lane: one thread that does the blocking file-system calls of one hot folder, in order.

A hung network mount then stalls only its own folder. The thread is a daemon thread, so a call that never returns
does not keep the process from ending.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["STALL_SECONDS", "Lane"]

STALL_SECONDS: Final = 60.0
"""A file system that has not answered for so long is taken for hung."""
_LONG_SECONDS: Final = 1.0

T = TypeVar("T")


class Lane:
    """Runs callables one after another in a thread of its own."""

    def __init__(self, name: str) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=f"lane-{name}", daemon=True)
        self._thread.start()
        self._open = True
        self._busy_since: float | None = None
        self._moved: tuple[str, float] = "", 0.0

    @property
    def stalled(self) -> float:
        """Seconds for which one call has neither returned nor read nor written anything.

        0 unless they are more than :data:`STALL_SECONDS`: a copy of gigabytes goes on for as long as it takes. To be
        asked about once a second, as what is read and written is compared with what it was at the last question.
        """
        since, now = self._busy_since, time.monotonic()
        if since is None or now - since < _LONG_SECONDS:
            return 0.0
        counters = self._counters()
        if counters != self._moved[0]:
            self._moved = counters, now
        spent = now - max(since, self._moved[1])
        return spent if spent > STALL_SECONDS else 0.0

    async def run(self, call: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
        """The result of ``call(*args, **kwargs)``, made in the lane's thread.

        A cancelled caller does not stop the call: what has begun on the disk is always finished.
        """
        if not self._open:
            raise RuntimeError("the lane is closed")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def deliver(result: T) -> None:
            if not future.cancelled():
                future.set_result(result)

        def fail(error: BaseException) -> None:
            if not future.cancelled():
                future.set_exception(error)

        def work() -> None:
            try:
                result = call(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001 - handed to the caller
                _post(loop, fail, error)
            else:
                _post(loop, deliver, result)

        self._calls.put(work)
        return await future

    def close(self) -> None:
        """End the thread after the calls that are queued; does not wait."""
        if self._open:
            self._open = False
            self._calls.put(None)

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
    if not loop.is_closed():
        loop.call_soon_threadsafe(call, *args)

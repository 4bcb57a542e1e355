"""Threads for disks that may hang: each disk has its own few, so that a dead share stalls only itself."""

from __future__ import annotations

import asyncio
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Disks"]

_THREADS: Final = 4
_SECONDS: Final = 3.0
_Given = TypeVar("_Given")


class Disks:
    """A disk is known by a name that its callers agree on: a folder's id, the ledger."""

    def __init__(self) -> None:
        self._threads: dict[str, ThreadPoolExecutor] = {}
        self._late: Counter[str] = Counter()

    async def run(
        self,
        disk: str,
        act: Callable[[], _Given],
        *,
        seconds: float = _SECONDS,
        unwanted: Callable[[_Given], object] | None = None,
    ) -> _Given:
        """``act()`` in a thread of the disk.

        Raises TimeoutError when no answer comes in time, and at once while all of its threads hang. What comes after
        nobody waits for it any more is handed to ``unwanted``, which closes it, say.
        """
        if self._late[disk] >= _THREADS:
            raise TimeoutError(f"the disk of {disk} does not answer")
        if disk not in self._threads:
            self._threads[disk] = ThreadPoolExecutor(_THREADS, thread_name_prefix=f"disk {disk}")
        call = asyncio.get_running_loop().run_in_executor(self._threads[disk], act)
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.shield(call)
        except (TimeoutError, asyncio.CancelledError):
            if not call.done():
                self._late[disk] += 1
                call.add_done_callback(lambda late: self._answered(disk, late, unwanted))
            raise

    def close(self) -> None:
        """Begin nothing more."""
        for each in self._threads.values():
            each.shutdown(wait=False, cancel_futures=True)

    def _answered(self, disk: str, call: asyncio.Future[_Given], unwanted: Callable[[_Given], object] | None) -> None:
        self._late[disk] -= 1
        if not call.cancelled() and call.exception() is None and unwanted is not None:
            unwanted(call.result())

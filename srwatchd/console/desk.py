"""What all routes share: one object, made at the start and handed in."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Annotated, Any, Final, Self, TypeVar

from fastapi import Depends
from starlette.requests import Request  # noqa: TC002 - FastAPI reads the annotation

from srwatchd.console.figures import Traffic
from srwatchd.console.gate import Gate
from srwatchd.console.history import History
from srwatchd.console.imports import Imports
from srwatchd.console.ledgerview import LedgerView
from srwatchd.console.live import Pulse, Spaces
from srwatchd.console.originals import Originals
from srwatchd.console.pictureworkers import PictureWorkers
from srwatchd.console.renditions import Renditions
from srwatchd.console.uploads import Uploads
from srwatchd.console.upscaling import Upscaling
from srwatchd.console.users import UsersFile
from srwatchd.console.verifier import Verifier

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from srwatchd.config import Config

__all__ = ["Desk", "TheDesk"]

_DISK_THREADS: Final = 8
_DISK_SECONDS: Final = 3.0
_MOST_PENDING: Final = 64
_Given = TypeVar("_Given")


class Desk:
    """The configuration and what is served from it; ``state`` is the console's own folder.

    ``hosts`` are further names it is reached by, ``alone`` says that only this machine can connect.
    As an asynchronous context manager it keeps up with the ledger.
    """

    def __init__(self, config: Config, *, hosts: tuple[str, ...] = (), alone: bool = True) -> None:
        self.config = config
        self.traffic = Traffic()
        self.hosts = hosts
        self.users = UsersFile(self.state)
        self.gate = Gate(self.users, alone=alone)
        self.history = History(config, self.state / "history.sqlite3")
        self.pulse = Pulse(self)
        self.spaces = Spaces(self)
        self.ledger = LedgerView(self)
        self.verifier = Verifier(self)
        self.upscaling = Upscaling(self)
        self.imports = Imports(self)
        self.originals = Originals(config)
        self.workers = PictureWorkers(config.console.memory_limit)
        self.renditions = Renditions(self.state / "renditions", self.workers, most=config.console.renditions.max_size)
        self.uploads = Uploads(config)
        self._disks = ThreadPoolExecutor(_DISK_THREADS, thread_name_prefix="disk")
        self._pending = 0

    async def __aenter__(self) -> Self:
        self.uploads.sweep()
        await asyncio.to_thread(self.imports.sweep)
        self._following = asyncio.create_task(self.history.follow(), name="history")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._following.cancel()
        await asyncio.gather(self._following, return_exceptions=True)
        await self.imports.close()
        await self.upscaling.close()
        await self.renditions.close()
        await self.workers.close()
        await self.verifier.close()
        self.uploads.close()
        self.gate.close()
        await self.history.close()
        self._disks.shutdown(wait=False, cancel_futures=True)

    @property
    def state(self) -> Path:
        """``state_dir/console``."""
        return self.config.state_dir / "console"

    async def on_disk(self, act: Callable[[], _Given], *, seconds: float = _DISK_SECONDS) -> _Given:
        """``act()`` in one of a few threads for disks that may hang.

        Raises TimeoutError when no answer came in time: the thread stays with the disk, the request does not.
        """
        if self._pending >= _MOST_PENDING:
            raise TimeoutError("the disks do not answer")
        self._pending += 1
        call = asyncio.get_running_loop().run_in_executor(self._disks, act)
        call.add_done_callback(self._answered)
        async with asyncio.timeout(seconds):
            return await asyncio.shield(call)

    def _answered(self, call: asyncio.Future[Any]) -> None:
        self._pending -= 1
        if not call.cancelled():
            call.exception()  # whoever asked may have gone


def _desk(request: Request) -> Desk:
    desk: Desk = request.app.state.desk
    return desk


TheDesk = Annotated[Desk, Depends(_desk)]
"""A route's parameter: the desk."""

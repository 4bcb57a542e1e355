"""What all routes share: one object, made at the start and handed in."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Annotated, Self

from fastapi import Depends
from starlette.requests import Request  # noqa: TC002 - FastAPI reads the annotation

from srwatchd.console.disks import Disks
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
from srwatchd.errors import HostError

if TYPE_CHECKING:
    from pathlib import Path

    from srwatchd.config import Config

__all__ = ["Desk", "TheDesk"]


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
        self.disks = Disks()

    async def __aenter__(self) -> Self:
        self.uploads.sweep()
        await asyncio.to_thread(self.imports.sweep)
        with contextlib.suppress(HostError):  # whoever asks for a picture is told
            await asyncio.to_thread(self.renditions.shelf.prepare)
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
        self.disks.close()

    @property
    def state(self) -> Path:
        """``state_dir/console``."""
        return self.config.state_dir / "console"


def _desk(request: Request) -> Desk:
    desk: Desk = request.app.state.desk
    return desk


TheDesk = Annotated[Desk, Depends(_desk)]
"""A route's parameter: the desk."""

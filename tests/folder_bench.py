"""Hot folders served for real in this process: disk, ledger and dispatcher, but stand-ins for the workers."""

from __future__ import annotations

import asyncio
import json
import os
from typing import TYPE_CHECKING, Any, Self

from daemon_standin import FakeStages, folder, spec

from srwatchd.audit import Ledger
from srwatchd.daemon.dispatcher import Dispatcher
from srwatchd.daemon.folder import ServedFolder
from srwatchd.daemon.folderids import KNOWN, FolderIds
from srwatchd.daemon.generation import now
from srwatchd.daemon.jobrun import JobRun
from srwatchd.daemon.places import Places
from srwatchd.daemon.services import Services
from srwatchd.daemon.state import StateDirectory
from srwatchd.intake.order import KNOWN_FILES
from srwatchd.intake.origins import Origins

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["Served"]


class Served:
    """The folder ``a`` below ``root``, served inside an ``async with`` block."""

    def __init__(
        self, root: Path, stages: FakeStages | None = None, *, known_files: int = KNOWN_FILES, **settings: Any
    ) -> None:
        self.root = root
        self.stages = stages or FakeStages()
        self.state = StateDirectory.open(root / "var")
        self.ledger = Ledger(root / "var/audit.jsonl")
        opened = self.ledger.open()
        wake = asyncio.Event()
        self.services = Services(
            state_id=self.state.identity,
            ledger=self.ledger,
            clock=now,
            wake=wake.set,
            finished=set(opened.finished),
            known=FolderIds(self.state, KNOWN),
            places=Places(self.state),
            origins=Origins(self.state.path / "origins"),
            unfinished=set(opened.unfinished),
        )
        self.config = folder(root, **{"rescan_interval": 1.0, **settings})
        self.folder = ServedFolder(self.config, spec(), self.services, known_files=known_files)
        self.dispatcher = Dispatcher([self.folder], slots=2, start=self._begin, wake=wake)
        self.tasks: list[asyncio.Task[None]] = []
        self.for_good = False

    def _begin(self, served: ServedFolder, work: Any) -> JobRun:
        return JobRun(served, self.stages, served.spec, candidate=work.candidate, record=work.record)

    async def __aenter__(self) -> Self:
        opening = asyncio.create_task(self.folder.open())
        self.tasks = [asyncio.create_task(self.folder.patrol(opening)), asyncio.create_task(self.dispatcher.loop())]
        await self.until(self.config.inbox.is_dir)
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.wait(self.tasks)
        await self.dispatcher.drain(0.0)
        await self.folder.close(for_good=self.for_good)
        self.ledger.close()
        self.state.close()

    def drop(self, name: str, content: bytes = b"a picture") -> Path:
        """Put a whole file into the inbox, as a rename does."""
        place = self.config.inbox / name
        place.parent.mkdir(parents=True, exist_ok=True)
        staged = self.root / "staged"
        staged.write_bytes(content)
        os.rename(staged, place)
        return place

    def delivered(self) -> list[str]:
        return sorted(path.name for path in self.config.done.rglob("*_x2.*"))

    def actions(self) -> list[str]:
        """Of the ledger's whole lines: a lane may be writing another one."""
        lines = (self.root / "var/audit.jsonl").read_text().splitlines(keepends=True)
        return [json.loads(line)["event.action"] for line in lines if line.endswith("\n")]

    async def until(self, holds: Callable[[], Any]) -> None:
        """Wait, with patience, until it is so."""
        async with asyncio.timeout(30.0):
            while not holds():  # noqa: ASYNC110 - a file system is waited for
                await asyncio.sleep(0.02)

"""A picture in, the enlarged one out: ordinary jobs of the daemon, for which somebody waits on the line.

A picture is dropped into the folder that the configuration implies for its model (:mod:`srwatchd.config.implied`); what
becomes of it is read from the ledger. The result, or what was quarantined, is taken out of these folders at once: they
are the console's to empty. Whoever goes away leaves a picture behind that nobody wants: it is taken back if the daemon
has not begun, else its result is removed when it comes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from srwatchd.codec.formats import extension
from srwatchd.config import implied_id
from srwatchd.console.ledgertail import LedgerTail
from srwatchd.console.refusals import DeclinedError
from srwatchd.console.transcode import transcoded
from srwatchd.control.socket import ask
from srwatchd.errors import HINTS
from srwatchd.intake.names import display
from srwatchd.storage import open_beneath

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path

    from srwatchd.config import Folder
    from srwatchd.console.access import Person
    from srwatchd.console.desk import Desk

__all__ = ["Enlarged", "Upscaling"]

_LOOK_SECONDS: Final = 0.02
_STATUS_SECONDS: Final = 4.0
_AFTERWARDS_SECONDS: Final = 3600.0
_OURS: Final = b'"srwatchd.folder":"upscale-'
_SOON: Final = {"Retry-After": "1"}
_FETCH: Final = "Its result can be fetched for a day: GET /api/v1/jobs/JOB/download/result."
_SIDECAR: Final = ".error.json"
_UNSERVED: Final = "Have the daemon read its configuration again: systemctl reload srwatchd, or SIGHUP."


@dataclass(frozen=True, slots=True)
class Enlarged:
    """A result: a descriptor that its holder closes, its file's name and format, its job, and how long it all took."""

    descriptor: int
    name: str
    format: str
    job: str
    seconds: float


@dataclass(slots=True, eq=False)
class _Ticket:
    """A dropped picture: its path as the ledger names it, its job as soon as it has one, and the line that ends it."""

    path: str
    ended: asyncio.Future[dict[str, Any]]
    job: str = ""


@dataclass(slots=True)
class _Tally:
    answered: int = 0
    refused: int = 0
    left: int = 0
    """Whose client went away, or for whom it took too long."""
    seconds: float = 0.0


class Upscaling:
    """What ``POST /api/v1/upscale`` does. Of one event loop."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._settings = desk.config.console.upscale
        self._tickets: dict[str, _Ticket] = {}
        self._watching: asyncio.Task[None] | None = None
        self._afterwards: set[asyncio.Task[None]] = set()
        self.in_flight = 0
        self.counts = _Tally()

    async def close(self) -> None:
        """Wait for nothing more."""
        tasks = [*self._afterwards, *([] if self._watching is None else [self._watching])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def folder(self, model: str | None) -> Folder:
        """The folder behind ``model``; None is the only one that is offered. Raises DeclinedError."""
        offered = dict.fromkeys(self._settings.models)
        if model is None and len(offered) == 1:
            (model,) = offered
        if model in offered:
            return self._desk.config.folder(implied_id(model))
        names = ", ".join(offered) or "none"
        hint = f"Offered are: {names}. console.upscale.models names them."
        if model is None:
            raise DeclinedError(400, "bad_request", "which model is not said", hint=hint)
        raise DeclinedError(404, "model_missing", f"the model {model!r} is not offered here", hint=hint)

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Room for one more, for the time of the block. Raises DeclinedError 429."""
        if self.in_flight >= self._settings.in_flight:
            text = f"{self._settings.in_flight} pictures are in work for others"
            raise DeclinedError(429, "too_many_requests", text, headers=_SOON)
        self.in_flight += 1
        try:
            yield
        finally:
            self.in_flight -= 1

    async def enlarged(
        self,
        folder: Folder,
        name: str,
        body: AsyncIterator[bytes],
        *,
        size: int | None,
        who: Person,
        gone: Callable[[], Awaitable[None]],
        wanted: tuple[str, ...] = (),
    ) -> Enlarged:
        """The result of the picture in ``body``, dropped under ``name``, which nobody else uses.

        ``wanted`` are formats that will do, the first one rather than others; none: as it comes.
        ``gone()`` returns when the client has gone away, and is only waited for once all of ``body`` has come. Raises
        DeclinedError: 422 with what the job failed of, 504 when it takes too long, 503 when the daemon does not serve
        the folder, 499 when nobody is there to be answered; and what an upload raises.
        """
        begin = time.monotonic()
        await self._refuse_unserved(folder)
        ticket = self._watch(str(folder.inbox / name))
        try:
            await self._desk.uploads.receive(folder, name, body, size=size, who=who)
        except BaseException:
            self._forget(ticket)
            raise
        line = await self._outcome(folder, ticket, gone)
        seconds = time.monotonic() - begin
        self.counts.seconds += seconds
        if line["event.action"] == "job.quarantined":
            self.counts.refused += 1
            await self._cleared(folder, line)
            code = str(line.get("error.code"))
            code = code if code in HINTS else "internal_error"
            message = display(str(line.get("error.message", "")))
            raise DeclinedError(422, code, message, headers=_about(ticket, seconds))
        path = line.get("srwatchd.result.path")
        descriptor = await asyncio.to_thread(_take, folder.done, path)
        if descriptor is None:
            raise DeclinedError(410, "file_gone", "somebody has taken the result", headers=_about(ticket, seconds))
        form, name = str(line.get("srwatchd.result.format", "")), str(path).rpartition("/")[2]
        if wanted and form not in wanted:
            form = wanted[0]
            descriptor = await self._transcoded(folder, descriptor, form)
            name = f"{name.rpartition('.')[0]}{extension(form)}"
        self.counts.answered += 1
        return Enlarged(descriptor, name, form, ticket.job, seconds)

    async def _transcoded(self, folder: Folder, descriptor: int, wanted: str) -> int:
        """The result in another format; the descriptor of the first one is closed."""
        desk = self._desk
        try:
            place = desk.state / "upscale"
            return await transcoded(desk.workers, desk.config, folder, descriptor, wanted=wanted, place=place)
        finally:
            os.close(descriptor)

    async def _refuse_unserved(self, folder: Folder) -> None:
        """Raise unless the daemon works on the folder: nobody waits minutes for a hold."""
        report = await ask(self._desk.config.state_dir / "control.sock", "status", timeout=_STATUS_SECONDS)
        told = {each["id"]: each for each in report["folders"]}.get(folder.id)
        if told is None:
            text = f"the running daemon has no folder {folder.id!r}"
            raise DeclinedError(503, "folder_missing", text, hint=_UNSERVED, headers=_SOON)
        if (hold := told.get("hold")) is not None:
            raise DeclinedError(503, hold["code"], hold["message"], hint=hold["hint"], headers=_SOON)
        if told.get("paused"):
            raise DeclinedError(503, "folder_paused", f"the folder {folder.id!r} is paused", headers=_SOON)

    # -- waiting -------------------------------------------------------------------------------------------------

    async def _outcome(self, folder: Folder, ticket: _Ticket, gone: Callable[[], Awaitable[None]]) -> dict[str, Any]:
        """The line that ends the job. What nobody waits for any more is seen to afterwards."""
        leaving: asyncio.Future[None] = asyncio.ensure_future(gone())
        either: set[asyncio.Future[Any]] = {ticket.ended, leaving}
        limit = self._settings.timeout
        try:
            await asyncio.wait(either, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            self._abandon(folder, ticket)
            raise
        finally:
            leaving.cancel()
        if ticket.ended.done():
            self._forget(ticket)
            return ticket.ended.result()
        self.counts.left += 1
        if leaving.done() and not leaving.cancelled():
            self._abandon(folder, ticket)
            raise DeclinedError(499, "upload_broken", "whoever asked has gone")
        self._forget(ticket)
        hint = _FETCH if ticket.job else HINTS["not_in_time"]
        text = f"it took longer than {limit:g} s; the job goes on"
        raise DeclinedError(504, "not_in_time", text, hint=hint, headers=_about(ticket, limit))

    def _abandon(self, folder: Folder, ticket: _Ticket) -> None:
        task = asyncio.create_task(self._unwanted(folder, ticket), name="unwanted picture")
        self._afterwards.add(task)
        task.add_done_callback(self._afterwards.discard)

    async def _unwanted(self, folder: Folder, ticket: _Ticket) -> None:
        """Take a picture back that the daemon has not begun with; else remove what comes of it."""
        try:
            source = await asyncio.to_thread(_take, folder.inbox, ticket.path)
            if source is not None:
                os.close(source)
                return
            async with asyncio.timeout(_AFTERWARDS_SECONDS):
                line = await ticket.ended
            await self._cleared(folder, line)
        except TimeoutError:  # retention removes it
            pass
        finally:
            self._forget(ticket)

    async def _cleared(self, folder: Folder, line: dict[str, Any]) -> None:
        """Remove what a job has left."""
        await asyncio.to_thread(_remove, folder.done, line.get("srwatchd.result.path"))
        await asyncio.to_thread(_remove, folder.error, line.get("srwatchd.error.path"))

    def _watch(self, path: str) -> _Ticket:
        """A ticket for a picture that is about to be dropped."""
        ticket = self._tickets[path] = _Ticket(path, asyncio.get_running_loop().create_future())
        if self._watching is None or self._watching.done():
            self._watching = asyncio.create_task(self._follow(), name="upscale")
        return ticket

    def _forget(self, ticket: _Ticket) -> None:
        self._tickets.pop(ticket.path, None)

    async def _follow(self) -> None:
        """Read the ledger's new lines while anybody waits."""
        tail = LedgerTail(self._desk.config.audit.path)
        try:
            while self._tickets:
                for line in await asyncio.to_thread(lambda: list(tail.lines(with_text=_OURS))):
                    self._told(line)
                await asyncio.sleep(_LOOK_SECONDS)
        finally:
            tail.close()

    def _told(self, line: dict[str, Any]) -> None:
        ticket = self._tickets.get(str(line.get("file.path")))
        if ticket is None:
            return
        ticket.job = str(line.get("trace.id", ""))
        if line.get("event.action") in ("job.completed", "job.quarantined") and not ticket.ended.done():
            ticket.ended.set_result(line)


def _take(root: Path, path: object) -> int | None:
    """A descriptor of the file ``path`` in ``root``, which has no name any more; None when it is not there. Blocks."""
    if not isinstance(path, str) or not path.startswith(f"{root}/"):
        return None
    parent, _, base = path.removeprefix(f"{root}/").rpartition("/")
    try:
        root_fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with open_beneath(root_fd, parent) as folder:
                descriptor = os.open(base, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
                with contextlib.suppress(OSError):
                    os.unlink(base, dir_fd=folder)
                return descriptor
        finally:
            os.close(root_fd)
    except OSError:
        return None


def _remove(root: Path, path: object) -> None:
    """Remove the file ``path`` and what tells of it in ``root``, if they are there. Blocks."""
    for each in (path, f"{path}{_SIDECAR}"):
        descriptor = _take(root, each)
        if descriptor is not None:
            os.close(descriptor)


def _about(ticket: _Ticket, seconds: float) -> dict[str, str]:
    """Headers that tell of the job."""
    return {**({"X-Srwatchd-Job": ticket.job} if ticket.job else {}), "X-Srwatchd-Seconds": f"{seconds:.3f}"}

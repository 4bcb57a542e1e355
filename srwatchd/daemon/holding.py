"""A folder's holds over time: begun, told, ended; a cause that comes back at once is looked at ever less often."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import structlog

from srwatchd.audit import Entry
from srwatchd.daemon.holds import Hold
from srwatchd.errors import HINTS, HostError

if TYPE_CHECKING:
    from srwatchd.config import Folder
    from srwatchd.daemon.lane import Lane
    from srwatchd.daemon.news import News
    from srwatchd.daemon.services import Services

__all__ = ["Holding"]

_log = structlog.get_logger("srwatchd.folder")


class Holding:
    """Whether and why one folder stands still. The ledger is written in the folder's ``lane``."""

    def __init__(self, config: Folder, services: Services, lane: Lane, news: News) -> None:
        self.hold: Hold | None = None
        """The one that is in force."""
        self._past: Hold | None = None  # the last one, until a job has ended well
        self._config = config
        self._services = services
        self._lane = lane
        self._news = news
        self._stalled = False

    async def begin(self, error: HostError, *, now: float) -> None:
        """Hold the folder for ``error`` from ``now`` (monotonic seconds); said once for each cause."""
        known, past = self.hold, self._past
        before = known or (past if past is not None and past.code == error.code else None)
        self.hold = Hold.from_error(error, now=now, at=self._services.clock(), before=before)
        if known is None or known.code != error.code:
            _log.error("held", folder=self._config.id, code=error.code, reason=error.message, hint=error.hint)
            with contextlib.suppress(HostError):
                await self._record(Entry("folder.held", "failure", fields=self._fields(error.code, error.message)))
            self._news.held(self.hold)

    async def end(self) -> None:
        """Go on, if the folder was held."""
        if (hold := self.hold) is not None:
            await self._record(Entry("folder.resumed", fields=self._fields(hold.code)))
            self.hold, self._past = None, hold
            _log.info("resumed", folder=self._config.id, after=hold.code)

    def forget(self) -> None:
        """A job has ended well: the next hold begins with short waits again."""
        self._past = None

    def notice_stall(self) -> None:
        """Say it once when the folder's file system does not answer any more, and once when it does again."""
        if (stalled := self._lane.stalled > 0) != self._stalled:
            self._stalled = stalled
            if stalled:
                _log.error("not answering", folder=self._config.id, hint=HINTS["not_answering"])
            else:
                _log.info("answering again", folder=self._config.id)

    def _fields(self, code: str, message: str | None = None) -> dict[str, str | None]:
        return {"srwatchd.folder": self._config.id, "error.code": code, "error.message": message}

    async def _record(self, entry: Entry) -> None:
        await self._lane.run(self._services.ledger.append, [entry])

"""The history: what the index answers, in one thread of its own that never holds up the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

import structlog

from srwatchd.console.index import Index, searchable
from srwatchd.console.ledgerfiles import fields_at
from srwatchd.intake.names import display

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from srwatchd.config import Config
    from srwatchd.console.account import Account

__all__ = ["Alarm", "Filters", "Found", "History", "Minutes", "Told"]

_SLICE: Final = 400
"""Lines that are taken in before questions get their turn: some hundredths of a second."""
_INTERVAL: Final = 1.0
_log = structlog.get_logger("srwatchd.console")
_Given = TypeVar("_Given")
Minutes = dict[str, tuple[int, int, int]]
"""By minute (``2026-11-28T08:15``): delivered, failed, pixels of results."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What a page of the history is asked for; None asks for nothing. Times compare with the claim's.

    Text and user may be given as they are or as pages show them.
    """

    text: str | None = None
    folder: str | None = None
    outcome: str | None = None
    code: str | None = None
    user: str | None = None
    since: str | None = None
    until: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """One job: its id, the sequence of its first line, and its account."""

    job: str
    opened: int
    account: Account


@dataclass(frozen=True, slots=True)
class Told:
    """One line of the ledger about a job."""

    sequence: int
    fields: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Alarm:
    """A place where the daemon found the ledger broken."""

    sequence: int
    at: str
    what: str


class History:
    """Answers from the ledger. ``close`` waits for the question that is being answered, at most for one slice."""

    def __init__(self, config: Config, place: Path) -> None:
        inboxes = {folder.id: folder.inbox for folder in config.folders}
        self._made = (place, config.audit.path, inboxes)
        self._index: Index | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="history")
        self.revision = 0
        """Goes up whenever something new was read."""

    async def follow(self) -> None:
        """Keep up with the ledger until cancelled."""
        while True:
            try:
                while await self._ask(self._advance):
                    pass
            except Exception:  # noqa: BLE001 - pages go on with what is known
                _log.exception("history")
            await asyncio.sleep(_INTERVAL)

    async def close(self) -> None:
        """Let the index go."""
        with contextlib.suppress(RuntimeError):
            await self._ask(lambda index: index.close())
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def complete(self) -> bool:
        """Whether the whole ledger has been read."""
        return await self._ask(lambda index: index.complete)

    async def page(self, filters: Filters, *, before: int | None, limit: int) -> tuple[list[Found], int]:
        """Jobs of which the first line has a sequence below ``before``, newest first, and how many fit the filters."""
        where, values = _conditions(filters)

        def read(index: Index) -> tuple[list[Found], int]:
            """A page of jobs, newest first, and how many there are in all."""
            total = index.db.execute(f"SELECT count(*) FROM jobs {_where(where)}", values).fetchone()[0]  # noqa: S608 - conditions are constants
            further = where if before is None else [*where, "opened < ?"]
            rows = index.db.execute(
                f"SELECT job, opened, account FROM jobs {_where(further)} ORDER BY opened DESC LIMIT ?",  # noqa: S608 - likewise
                [*values, *([] if before is None else [before]), limit],
            )
            return _found(rows), total

        return await self._ask(read)

    async def job(self, job: str) -> Found | None:
        """One job; None when the ledger says nothing of it."""
        query = "SELECT job, opened, account FROM jobs WHERE job = ?"
        found = await self._ask(lambda index: _found(index.db.execute(query, (job,))))
        return found[0] if found else None

    async def timeline(self, job: str) -> list[Told]:
        """Every line about a job that is still there, in order."""
        query = (
            "SELECT sequence, segment, offset, length FROM lines "
            "WHERE opened = (SELECT opened FROM jobs WHERE job = ?) ORDER BY sequence"
        )

        def read(index: Index) -> list[Told]:
            """The job's lines in the ledger, in their order; one that is not there any more is left out."""
            lines = []
            for sequence, segment, offset, length in index.db.execute(query, (job,)).fetchall():
                path = index.paths.get(segment)
                fields = None if path is None else fields_at(path, offset, length)
                if fields is not None and fields.get("trace.id") == job:
                    lines.append(Told(sequence, fields))
            return lines

        return await self._ask(read)

    async def recent(self, count: int) -> list[Found]:
        """The jobs that ended last."""
        query = "SELECT job, opened, account FROM jobs WHERE closed IS NOT NULL ORDER BY closed DESC LIMIT ?"
        return await self._ask(lambda index: _found(index.db.execute(query, (count,))))

    async def quarantined(self, count: int) -> list[Found]:
        """The latest jobs that went to an error folder."""
        query = "SELECT job, opened, account FROM jobs WHERE outcome = 'quarantined' ORDER BY opened DESC LIMIT ?"
        return await self._ask(lambda index: _found(index.db.execute(query, (count,))))

    async def minutes(self, since: str) -> Minutes:
        """What ended since then."""
        query = (
            "SELECT substr(ended_at, 1, 16), sum(outcome = 'delivered'), sum(outcome IN ('quarantined', 'failed')), "
            "sum(CASE outcome WHEN 'delivered' THEN pixels ELSE 0 END) FROM jobs WHERE ended_at >= ? GROUP BY 1"
        )
        return await self._ask(lambda index: {row[0]: row[1:] for row in index.db.execute(query, (since,))})

    async def alarms(self) -> list[Alarm]:
        """Where the ledger was found broken, latest first."""
        query = "SELECT sequence, at, what FROM alarms ORDER BY sequence DESC LIMIT 5"
        return await self._ask(lambda index: [Alarm(*row) for row in index.db.execute(query)])

    async def mark(self, sequence: int) -> tuple[int, int] | None:
        """A segment and an offset in it from which on the line ``sequence`` is found soon; None before the first."""
        query = "SELECT segment, offset FROM marks WHERE sequence <= ? ORDER BY sequence DESC LIMIT 1"
        row: tuple[int, int] | None = await self._ask(lambda index: index.db.execute(query, (sequence,)).fetchone())
        return row

    async def end(self) -> tuple[int, str]:
        """Sequence and hash of the last line that was read; 0 and "" before the first."""
        query = "SELECT last, hash FROM segments ORDER BY first DESC LIMIT 1"
        row = await self._ask(lambda index: index.db.execute(query).fetchone())
        return (row[0], row[1]) if row else (0, "")

    # -- inside --------------------------------------------------------------------------------------------------

    def _advance(self, index: Index) -> bool:
        before = index.db.total_changes
        more = index.advance(_SLICE)
        self.revision += index.db.total_changes != before
        return more

    async def _ask(self, question: Callable[[Index], _Given]) -> _Given:
        def answer() -> _Given:
            """What ``question`` gives; asked once more of a new index when this one is damaged."""
            if self._index is None:
                self._index = Index(*self._made)
            try:
                return question(self._index)
            except sqlite3.DatabaseError as error:
                if type(error) not in (sqlite3.DatabaseError, sqlite3.OperationalError):  # a defect of ours
                    raise
                self._index.renew()
                return question(self._index)

        return await asyncio.get_running_loop().run_in_executor(self._thread, answer)


def _found(rows: Any) -> list[Found]:
    return [Found(job, opened, json.loads(account)) for job, opened, account in rows]


def _where(conditions: list[str]) -> str:
    return f"WHERE {' AND '.join(conditions)}" if conditions else ""


def _conditions(filters: Filters) -> tuple[list[str], list[Any]]:
    where, values = [], []
    for column, wanted in (("folder", filters.folder), ("outcome", filters.outcome), ("code", filters.code)):
        if wanted is not None:
            where.append(f"{column} = ?")
            values.append(wanted)
    if filters.user is not None:
        where.append("user IN (?, ?)")
        values += [filters.user, display(filters.user)]
    if filters.since is not None:
        where.append("claimed_at >= ?")
        values.append(filters.since)
    if filters.until is not None:
        where.append("claimed_at < ?")
        values.append(filters.until)
    if filters.text:
        where.append("(search LIKE ? ESCAPE '\\' OR search LIKE ? ESCAPE '\\')")
        values += [_anywhere(filters.text.casefold()), _anywhere(searchable(filters.text))]
    return where, values


def _anywhere(text: str) -> str:
    """A pattern of LIKE for texts that hold ``text``, of which no character means anything."""
    for meant in ("\\", "%", "_"):
        text = text.replace(meant, f"\\{meant}")
    return f"%{text}%"

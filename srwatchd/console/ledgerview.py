"""The ledger as pages see it: its lines, the end of its chain, and the whole of it for taking away."""

from __future__ import annotations

import itertools
import json
import os
from typing import TYPE_CHECKING, Any, Final, Literal

from srwatchd.audit import export, segments
from srwatchd.audit.segments import first_sequence, open_segment
from srwatchd.console.jobs import shown_fields
from srwatchd.console.ledgerfiles import Looks, lines_from
from srwatchd.console.ledgershapes import LedgerLine, LedgerLines, LedgerState, Segment
from srwatchd.console.refusals import DeclinedError
from srwatchd.intake.names import display

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from srwatchd.console.desk import Desk
    from srwatchd.console.ledgerfiles import Line

__all__ = ["LedgerView"]

_LOOKED_AT: Final = 20_000
"""Lines that are searched for one page: one of a rare action may hold fewer than were asked for, and goes on."""
_WINDOW: Final = 1024
_PIECE: Final = 1 << 18
_TAIL: Final = 4 << 20
_OWN: Final = frozenset({"srwatchd.hash", "srwatchd.previous_hash", "event.sequence", "@timestamp"})
_PAGE_SECONDS: Final = 20.0
_EXPORTS: Final = 2


class LedgerView:
    """Reads in threads and in bounded memory. What it says is what the files say; only a verification checks them."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._path = desk.config.audit.path
        self._exports = 0

    async def newest(self, *, before: int | None, limit: int, action: str | None) -> LedgerLines:
        """Lines with a sequence below ``before``, newest first."""
        end = (await self._desk.history.end())[0] + 1 if before is None else before
        found: list[LedgerLine] = []
        looked = 0
        window = limit if action is None else _WINDOW
        while end > 1 and len(found) < limit and looked < _LOOKED_AT:
            begin = max(1, end - window)
            lines = await self._read(begin, end, window, action)
            found += reversed(lines)
            looked += end - begin
            end, window = begin, _WINDOW
        kept = found[:limit]
        following = kept[-1].sequence if len(found) >= limit else end
        return LedgerLines(lines=kept, next=following if following > 1 else None)

    async def oldest(self, *, after: int, limit: int, action: str | None) -> LedgerLines:
        """Lines with a sequence above ``after``, in order."""
        last = (await self._desk.history.end())[0]
        found: list[LedgerLine] = []
        looked = 0
        while after < last and len(found) < limit and looked < _LOOKED_AT:
            end = min(last + 1, after + 1 + _WINDOW)
            found += await self._read(after + 1, end, limit, action)
            looked += end - 1 - after
            after = end - 1
        kept = found[:limit]
        following = kept[-1].sequence if len(found) >= limit else after
        return LedgerLines(lines=kept, next=following if following < last else None)

    async def state(self) -> LedgerState:
        """The end of the chain and its files."""
        line, files = await self._desk.disks.run("ledger", self._end)
        return LedgerState(
            last_sequence=line.get("event.sequence", 0),
            last_hash=line.get("srwatchd.hash"),
            last_at=line.get("@timestamp"),
            segments=files,
            verification=self._desk.verifier.last,
        )

    async def export(self, form: Literal["jsonl", "csv"]) -> AsyncIterator[bytes]:
        """The whole ledger in pieces. Raises DeclinedError when others are being made already."""
        if self._exports >= _EXPORTS:
            raise DeclinedError(503, "ledger_busy", "other exports are being made", headers={"Retry-After": "10"})
        return self._pieces(form)

    # -- inside --------------------------------------------------------------------------------------------------

    async def _pieces(self, form: Literal["jsonl", "csv"]) -> AsyncIterator[bytes]:
        self._exports += 1
        try:
            lines = export(self._path, format=form)
            while piece := await self._desk.disks.run("ledger", lambda: _piece(lines), seconds=_PAGE_SECONDS):
                yield piece
        finally:
            self._exports -= 1

    async def _read(self, begin: int, end: int, most: int, action: str | None) -> list[LedgerLine]:
        mark = await self._desk.history.mark(begin)
        try:
            return await self._desk.disks.run(
                "ledger", lambda: self._lines(mark, begin, end, most, action), seconds=_PAGE_SECONDS
            )
        except TimeoutError:
            raise DeclinedError(504, "not_answering", "the ledger's disk did not answer in time") from None

    def _lines(
        self, mark: tuple[int, int] | None, begin: int, end: int, most: int, action: str | None
    ) -> list[LedgerLine]:
        wanted = None if action is None else f'"event.action":{json.dumps(action)}'.encode("ascii")
        first, offset = mark or (0, 0)
        found: list[LedgerLine] = []
        for line in self._from(first, offset):
            if line.sequence >= end or len(found) >= most:
                break
            if line.sequence >= begin and (wanted is None or wanted in line.raw):
                found += _shown(line)
        return found

    def _from(self, first: int, offset: int) -> Iterator[Line]:
        here = [each for each in Looks(self._path).present() if each.first >= first]
        for number, segment in enumerate(here):
            yield from lines_from(segment.path, offset if number == 0 and segment.first == first else 0)

    def _end(self) -> tuple[dict[str, Any], list[Segment]]:
        here = segments(self._path)
        files = [
            Segment(file=display(each.name), size=_size(each), first_sequence=first_sequence(self._path, each.name))
            for each in here
        ]
        for each in reversed(here):
            if line := _last_line(each):
                return line, files
        return {}, files


def _shown(line: Line) -> list[LedgerLine]:
    try:
        fields = json.loads(line.raw)
    except (ValueError, RecursionError):
        return []
    job = fields.get("trace.id")
    return [
        LedgerLine(
            sequence=line.sequence,
            at=str(fields.get("@timestamp", "")),
            action=str(fields.get("event.action", "")),
            outcome=str(fields.get("event.outcome", "")),
            job=job if isinstance(job, str) else None,
            hash=line.hash,
            fields=shown_fields(fields, without=_OWN),
        )
    ]


def _piece(lines: Iterator[bytes]) -> bytes:
    """Some hundred KiB of whole lines; nothing at the end."""
    size = 0
    piece = []
    for line in lines:
        piece.append(line)
        size += len(line)
        if size >= _PIECE:
            break
    return b"".join(piece)


def _last_line(segment: Path) -> dict[str, Any]:
    """The fields of the last whole line of a file; nothing when there is none."""
    try:
        descriptor = open_segment(segment)
        try:
            size = os.fstat(descriptor).st_size
            tail = os.pread(descriptor, _TAIL, max(0, size - _TAIL))
        finally:
            os.close(descriptor)
    except OSError:
        return {}
    whole = tail[: tail.rfind(b"\n")] if b"\n" in tail else b""
    for raw in itertools.islice(reversed(whole.splitlines()), 8):
        try:
            fields = json.loads(raw)
        except (ValueError, RecursionError):
            continue
        if isinstance(fields, dict) and isinstance(fields.get("event.sequence"), int):
            return fields
    return {}


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0

"""Jobs as the API shows them: an account from the ledger, and whether its files are still there."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, cast

from srwatchd.console.files import path_of, present, relative_to_error
from srwatchd.console.shapes import Job, JobDetail, Result, Source, TimelineEntry
from srwatchd.errors import HINTS
from srwatchd.intake.names import display

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from srwatchd.config import Config
    from srwatchd.console.account import Account
    from srwatchd.console.desk import Desk
    from srwatchd.console.files import Side
    from srwatchd.console.history import Found, Told

__all__ = ["detail", "jobs_of", "shown_fields"]

_NS: Final = 1e9
_LEFT_OUT: Final = frozenset(
    {
        *("@timestamp", "event.action", "event.outcome", "event.sequence", "event.duration", "trace.id"),
        *("ecs.version", "event.category", "event.kind", "event.type", "srwatchd.hash", "srwatchd.previous_hash"),
    }
)
"""Of a line's fields: what its entry says already, or what is the same in every line of its kind."""
_ORIGINS: Final = ("samba", "console", "owner")
_Presence = dict[tuple[str, "Side"], bool | None]


async def jobs_of(desk: Desk, found: Sequence[Found]) -> list[Job]:
    """The jobs, with what their disks say about their files; null where a disk does not answer soon."""
    presence = await _presence(desk, found)
    return [_job(desk.config, each, presence) for each in found]


async def detail(desk: Desk, found: Found, lines: Iterable[Told]) -> JobDetail:
    """One job with its timeline."""
    presence = await _presence(desk, [found])
    timeline = [_entry(each) for each in lines]
    return JobDetail(**_job(desk.config, found, presence).model_dump(), timeline=timeline)


def shown_fields(fields: dict[str, Any], *, without: frozenset[str] = _LEFT_OUT) -> dict[str, Any]:
    """A line's fields for a page: texts on one harmless line each."""
    return {key: _shown(value) for key, value in fields.items() if key not in without}


async def _presence(desk: Desk, found: Sequence[Found]) -> _Presence:
    wanted: list[tuple[str, Side]] = [
        (each.job, side) for each in found for side in ("source", "result") if path_of(each.account, side)
    ]
    accounts = {each.job: each.account for each in found}
    disks: dict[str, list[tuple[str, Side]]] = {}
    for each in wanted:
        disks.setdefault(str(accounts[each[0]].get("folder", "")), []).append(each)

    async def look(folder: str) -> _Presence:
        """What is there of one folder's files; nothing is known of them while its disk hangs."""

        def at_once() -> _Presence:
            """The same, for the thread of that disk."""
            return {(job, side): present(desk.config, accounts[job], side) for job, side in disks[folder]}

        with contextlib.suppress(TimeoutError):
            return await desk.disks.run(folder, at_once)
        return dict.fromkeys(disks[folder])

    seen: _Presence = {}
    for answered in await asyncio.gather(*map(look, disks)):
        seen |= answered
    return seen


def _job(config: Config, found: Found, presence: _Presence) -> Job:
    account = found.account
    claimed, ended = _text(account, "claimed_at") or "", _text(account, "ended_at")
    code = _text(account, "code")
    origin = account.get("origin")
    name = str(account.get("name", ""))
    there = {side: presence.get((found.job, side), False) for side in ("source", "result")}
    return Job(
        job=found.job,
        folder=display(str(account.get("folder", ""))),
        name=display(name),
        outcome=cast("Any", account["outcome"]),
        code=code,
        message=_text(account, "message"),
        hint=_text(account, "hint") or (HINTS.get(code) if code else None),
        claimed_at=claimed,
        ended_at=ended,
        seconds=_between(claimed, ended),
        durations={display(str(stage)): spent / _NS for stage, spent in account.get("durations", {}).items()},
        source=_source(account, there["source"]),
        result=_result(config, account, there["result"]) if account["outcome"] == "delivered" else None,
        model=_text(account, "model"),
        scale=_number(account, "scale"),
        engine=_text(account, "engine"),
        user=_text(account, "user"),
        address=_text(account, "address"),
        origin=cast("Any", origin) if origin in _ORIGINS else None,
        retryable=bool(relative_to_error(config, account) and there["source"]),
    )


def _source(account: Account, there: bool | None) -> Source:
    return Source(
        format=_text(account, "source_format"),
        width=_number(account, "source_width"),
        height=_number(account, "source_height"),
        size=_number(account, "size"),
        present=there,
    )


def _result(config: Config, account: Account, there: bool | None) -> Result:
    path = str(account.get("result_path", ""))
    roots = [str(folder.done) for folder in config.folders if path.startswith(f"{folder.done}/")]
    name = path.removeprefix(f"{roots[0]}/") if roots else path.rpartition("/")[2]
    return Result(
        name=display(name) or None,
        format=_text(account, "result_format"),
        width=_number(account, "result_width"),
        height=_number(account, "result_height"),
        size=_number(account, "result_size"),
        present=there,
    )


def _entry(line: Told) -> TimelineEntry:
    fields = line.fields
    spent = fields.get("event.duration")
    return TimelineEntry(
        sequence=line.sequence,
        at=str(fields.get("@timestamp", "")),
        action=str(fields.get("event.action", "")),
        outcome=str(fields.get("event.outcome", "")),
        seconds=spent / _NS if isinstance(spent, int) else None,
        fields=shown_fields(fields),
    )


def _between(begin: str, end: str | None) -> float | None:
    if end is None:
        return None
    try:
        return max(0.0, (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds())
    except (ValueError, TypeError):
        return None


def _text(account: Account, key: str) -> str | None:
    value = account.get(key)
    return display(value) if isinstance(value, str) and value else None


def _number(account: Account, key: str) -> int | None:
    value = account.get(key)
    return value if isinstance(value, int) else None


def _shown(value: object) -> object:
    if isinstance(value, str):
        return display(value)
    if isinstance(value, list):
        return [_shown(each) for each in value]
    return value

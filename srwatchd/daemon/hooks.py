"""Hooks: commands that are run when a picture was delivered or failed, or when a folder is held.

At most once each: a hook is queued in memory after its event is in the ledger, so a crash in between costs the hook and
never runs it twice. Hooks have a thread and a bounded queue per folder and never keep a picture waiting.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

import structlog

from srwatchd.audit import Entry
from srwatchd.daemon.hookrun import HookResult, run_hook
from srwatchd.daemon.lane import Lane
from srwatchd.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from srwatchd.audit import Ledger
    from srwatchd.config import Folder
    from srwatchd.daemon.tally import Tally

__all__ = ["QUEUED", "Hooks"]

_log = structlog.get_logger("srwatchd.hooks")

HookEvent = Literal["success", "failure", "hold"]

QUEUED: Final = 1000
"""How many hooks of a folder may wait; the next ones are dropped, and told."""
_GRACE_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class _Call:
    words: tuple[str, ...]
    timeout: float
    facts: Mapping[str, Any]

    def entry(self, why: str, result: HookResult | None = None) -> Entry:
        """What the ledger is told of a call that went wrong."""
        fields = {
            "srwatchd.folder": self.facts["folder"],
            "srwatchd.hook.event": self.facts["event"],
            "srwatchd.hook.program": self.words[0],
            "srwatchd.hook.status": None if result is None else result.status,
            "srwatchd.hook.output": result.output if result is not None and result.output else None,
        }
        return Entry("hook.failed", "failure", job=str(self.facts.get("job", "")), fields=fields, reason=why)


@dataclass(slots=True)
class _Line:
    """The hooks of one folder: one after another, in a thread of their own."""

    lane: Lane
    calls: deque[_Call] = field(default_factory=deque)
    task: asyncio.Task[None] | None = None
    dropped: int = 0


class Hooks:
    """Runs hooks; outlives a reload. Used from the event loop."""

    def __init__(self, ledger: Ledger, tally: Tally) -> None:
        self._ledger = ledger
        self._tally = tally
        self._lines: dict[str, _Line] = {}
        self._kill_at: float | None = None
        """Since the service stops: when a hook that still runs is killed (the loop's time)."""

    def happened(self, folder: Folder, event: HookEvent, facts: Mapping[str, Any]) -> None:
        """Queue the folder's hook for ``event``, if it has one. Returns at once and raises nothing."""
        words = {"success": folder.hooks.on_success, "failure": folder.hooks.on_failure, "hold": folder.hooks.on_hold}
        if not words[event] or self._kill_at is not None:
            return
        call = _Call(words[event], folder.hooks.timeout, {**facts, "event": event, "folder": folder.id})
        line = self._lines.get(folder.id)
        if line is None:
            line = self._lines[folder.id] = _Line(Lane(f"hooks-{folder.id}"))
        if len(line.calls) >= QUEUED:
            line.dropped += 1
            self._tally.hooks[folder.id, event, "dropped"] += 1
            return
        line.calls.append(call)
        if line.task is None or line.task.done():
            line.task = asyncio.create_task(self._work(line), name=f"hooks {folder.id}")

    async def drain(self, seconds: float) -> None:
        """Wait until every hook that was queued has been run, at most ``seconds``."""
        tasks = [line.task for line in self._lines.values() if line.task is not None and not line.task.done()]
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)

    async def close(self, seconds: float) -> None:
        """Drop those that wait, kill the running ones after a moment; what is not told in ``seconds`` is not told."""
        self._kill_at = asyncio.get_running_loop().time() + _GRACE_SECONDS
        tasks = [line.task for line in self._lines.values() if line.task is not None and not line.task.done()]
        for line in self._lines.values():
            await self._drop_rest(line)
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)
        for line in self._lines.values():
            line.lane.close()

    async def _work(self, line: _Line) -> None:
        while line.calls:
            call = line.calls.popleft()
            unwanted = self._unwanted(asyncio.get_running_loop())
            result = await line.lane.run(run_hook, call.words, call.facts, timeout=call.timeout, unwanted=unwanted)
            await self._ended(line, call, result)
            if line.dropped:
                dropped, line.dropped = line.dropped, 0
                why = f"{dropped} hooks were dropped: more than {QUEUED} waited"
                await self._tell(line, call, call.entry(why), why)

    def _unwanted(self, loop: asyncio.AbstractEventLoop) -> Callable[[], bool]:
        """Whether the running hook is to be killed; asked in its lane."""
        return lambda: self._kill_at is not None and loop.time() >= self._kill_at

    async def _ended(self, line: _Line, call: _Call, result: HookResult) -> None:
        outcome = "failed" if result.why else "ok"
        self._tally.hooks[str(call.facts["folder"]), str(call.facts["event"]), outcome] += 1
        if result.why:
            await self._tell(line, call, call.entry(result.why, result), result.why, output=result.output)
        else:
            _log.debug("hook", folder=call.facts["folder"], event_name=call.facts["event"], seconds=result.seconds)

    async def _drop_rest(self, line: _Line) -> None:
        if line.calls:
            call, count = line.calls[0], len(line.calls)
            line.calls.clear()
            self._tally.hooks[str(call.facts["folder"]), str(call.facts["event"]), "dropped"] += count
            why = f"{count} hooks were dropped: the service stopped"
            _log.warning("hook failed", folder=call.facts["folder"], program=call.words[0], reason=why)
            with contextlib.suppress(HostError):
                self._ledger.append([call.entry(why)])

    async def _tell(self, line: _Line, call: _Call, entry: Entry, why: str, **more: str) -> None:
        facts = call.facts
        _log.warning(
            "hook failed", folder=facts["folder"], hook=facts["event"], program=call.words[0], reason=why, **more
        )
        with contextlib.suppress(HostError):
            await line.lane.run(self._ledger.append, [entry])

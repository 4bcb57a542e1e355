"""`srwatchd audit verify` on request: in a process of its own, so that hundreds of megabytes hold no page up."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from srwatchd.console.ledgershapes import Verification
from srwatchd.console.refusals import DeclinedError
from srwatchd.storage import open_directory, write_durably

if TYPE_CHECKING:
    from srwatchd.console.desk import Desk

__all__ = ["Verifier"]

_NAME: Final = "verification.json"
_LARGEST: Final = 1 << 16
_LAST_WORDS: Final = 500


class Verifier:
    """One verification at a time; what the last one said is kept for the next start."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._task: asyncio.Task[None] | None = None
        self.last: Verification | None = self._kept()

    def start(self, by: str) -> Verification:
        """Begin. Raises DeclinedError while one is running."""
        if self._task is not None and not self._task.done():
            raise DeclinedError(409, "verifying", "a verification is running already")
        self.last = begun = Verification(state="running", started=_now(), by=by)
        self._task = asyncio.create_task(self._run(begun), name="verification")
        return begun

    async def close(self) -> None:
        """End one that is running."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self, begun: Verification) -> None:
        words = (
            sys.executable,
            "-m",
            "srwatchd",
            "audit",
            "verify",
            "--json",
            "--config",
            str(self._desk.config.source),
        )
        found: dict[str, Any] = {"state": "failed", "message": "it was cut off"}
        try:
            process = await asyncio.create_subprocess_exec(
                *words, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
            )
            try:
                out, err = await process.communicate()
            finally:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
            found = _said(out, err)
        except OSError as error:
            found = {"state": "failed", "message": f"it could not be started: {error.strerror}"}
        finally:
            self.last = begun.model_copy(update={"ended": _now(), **found})
            self._keep(self.last)
            self._desk.pulse.forget()

    def _kept(self) -> Verification | None:
        """What the last one said; one that was running then was cut off."""
        with contextlib.suppress(OSError, ValidationError):
            with (self._desk.state / _NAME).open("rb") as file:
                kept = Verification.model_validate_json(file.read(_LARGEST))
            return None if kept.state == "running" else kept
        return None

    def _keep(self, verification: Verification) -> None:
        with contextlib.suppress(OSError):
            folder = open_directory(self._desk.state)
            try:
                write_durably(_NAME, verification.model_dump_json().encode(), dir_fd=folder)
            finally:
                os.close(folder)


def _said(out: bytes, err: bytes) -> dict[str, Any]:
    try:
        told = json.loads(out)
    except ValueError:
        words = err.decode("utf-8", "replace").strip()[-_LAST_WORDS:]
        return {"state": "failed", "message": words or "it did not end well"}
    state = "whole" if told["ok"] else "broken" if told["faults"] else "unchecked"
    return {"state": state, "lines": told["lines"], "faults": told["faults"], "message": told["message"]}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

"""Models that come in through the console: uploaded, then taken in by a process of its own, one after another.

The process does what `srwatchd models import` does, beside a running daemon as that does; what it tries runs in
confined workers, with the memory of an inference worker of the daemon, not the console's.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import json
import os
import re
import secrets
import shutil
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from srwatchd.console.modelshapes import Import, ImportStep
from srwatchd.console.refusals import DeclinedError
from srwatchd.console.shapes import Error
from srwatchd.intake.names import display
from srwatchd.storage import host_errors

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from srwatchd.console.desk import Desk

__all__ = ["Imports"]

_LARGEST: Final = 2 << 30
"""Bytes of a model file, as `srwatchd models import` has it."""
_REMEMBERED: Final = 32
_MOST_STEPS: Final = 200
_LAST_WORDS: Final = 500
_NAME: Final = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST_NAME: Final = 96


class Imports:
    """One import at a time; the latest ones are remembered until the console ends. Of one event loop."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._place = desk.state / "imports"
        self._busy = False
        self._task: asyncio.Task[None] | None = None
        self._known: collections.OrderedDict[str, Import] = collections.OrderedDict()

    def sweep(self) -> None:
        """Remove what a console that died has left. Blocks."""
        shutil.rmtree(self._place, ignore_errors=True)

    async def close(self) -> None:
        """End what is running: nothing has changed then."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def find(self, number: str) -> Import:
        """An import. Raises DeclinedError ``not_found``."""
        if number not in self._known:
            raise DeclinedError(404, "not_found", f"there is no import {number!r}")
        return self._known[number]

    async def start(
        self, filename: str, body: AsyncIterator[bytes], wishes: dict[str, Any], *, size: int | None
    ) -> str:
        """Take the file in ``body`` and begin to import it; the import's number.

        ``wishes`` are fields of :class:`srwatchd.daemon.modelimport.Wishes`. Raises DeclinedError 409 while another one
        is going on, 413 for too large a file, HostError for a disk that is full.
        """
        if self._busy:
            hint = "Wait until it has ended, then try again."
            raise DeclinedError(409, "model_refused", "another model is being imported", hint=hint)
        if size is not None and size > _LARGEST:
            raise _too_large()
        self._busy = True
        number = secrets.token_hex(8)
        folder = self._place / number
        try:
            file = folder / (_NAME.sub("_", filename.rpartition("/")[2]).lstrip(".")[-_LONGEST_NAME:] or "model")
            await self._received(file, body)
        except BaseException:
            self._busy = False
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
            raise
        self._known[number] = Import(id=number, state="running", file=display(filename), steps=[])
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        self._task = asyncio.create_task(self._run(number, file, wishes), name="import")
        return number

    async def _received(self, file: Path, body: AsyncIterator[bytes]) -> None:
        with host_errors(file.parent, "keeping a model in"):
            await asyncio.to_thread(file.parent.mkdir, mode=0o700, parents=True)
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            size = 0
            try:
                async for piece in body:
                    size += len(piece)
                    if size > _LARGEST:
                        raise _too_large()
                    await asyncio.to_thread(_write, descriptor, piece)
            finally:
                os.close(descriptor)

    async def _run(self, number: str, file: Path, wishes: dict[str, Any]) -> None:
        ended: dict[str, Any] = {"state": "failed", "error": _defect("it was cut off")}
        try:
            ended = await self._imported(number, file, wishes)
        except OSError as error:
            ended = {"state": "failed", "error": _defect(f"it could not be started: {error.strerror}")}
        finally:
            self._busy = False
            self._tell(number, **ended)
            shutil.rmtree(file.parent, ignore_errors=True)
            self._desk.pulse.forget()

    async def _imported(self, number: str, file: Path, wishes: dict[str, Any]) -> dict[str, Any]:
        """Have it done; the end of it."""
        words = ("-m", "srwatchd.console.importchild", str(self._desk.config.source), str(file))
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            sys.executable, *words, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
        )
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None  # noqa: S101, PT018 - as asked for
        words_left = asyncio.create_task(process.stderr.read())
        try:
            process.stdin.write(json.dumps(wishes).encode("ascii"))
            process.stdin.close()
            ended = None
            async for line in process.stdout:
                ended = self._told(number, line) or ended
            await process.wait()
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            last = await words_left
        return ended or {"state": "failed", "error": _defect(last.decode("utf-8", "replace")[-_LAST_WORDS:])}

    def _told(self, number: str, line: bytes) -> dict[str, Any] | None:
        """Take in what the process says; what it means for the import, if it is the end."""
        message = json.loads(line)
        if "imported" in message:
            names = [display(each) for each in message["imported"]]
            return {"state": "imported", "model": ", ".join(names) or None}
        if "error" in message:
            with contextlib.suppress(ValidationError):
                error = Error(**{key: display(text) for key, text in message["error"].items()})
                return {"state": "refused" if error.code == "model_refused" else "failed", "error": error}
        steps = self._known[number].steps if number in self._known else []
        if len(steps) < _MOST_STEPS:
            self._tell(number, steps=[*steps, ImportStep(at=_now(), text=display(str(message.get("step", ""))))])
        return None

    def _tell(self, number: str, **changes: Any) -> None:
        if number in self._known:
            self._known[number] = self._known[number].model_copy(update=changes)


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _too_large() -> DeclinedError:
    text = f"a model file has at most {_LARGEST >> 30} GiB"
    return DeclinedError(413, "too_large_upload", text, hint="Get a smaller one.")


def _defect(text: str) -> Error:
    return Error(code="internal_error", message=display(text.strip() or "it said nothing"), hint=_DEFECT)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


_DEFECT: Final = "Try `srwatchd models import` on the machine itself, and look at the console's log."

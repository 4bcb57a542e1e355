"""Uploads: what is refused at once, and the body's way from the network to the disk in bounded memory."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import unquote_to_bytes

import structlog
from starlette.requests import ClientDisconnect

from srwatchd.console import droppoint
from srwatchd.console.refusals import DeclinedError
from srwatchd.console.shapes import Uploaded
from srwatchd.errors import HostError
from srwatchd.intake.names import display, wanted
from srwatchd.intake.origins import Origins

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from srwatchd.config import Config, Folder
    from srwatchd.console.access import Person
    from srwatchd.console.droppoint import Drop

__all__ = ["SILENCE_SECONDS", "Uploads", "name_of", "pieces"]

_log = structlog.get_logger("srwatchd.console")
_THREADS: Final = 4
_PIECE: Final = 256 << 10
_DISK_SECONDS: Final = 60.0
SILENCE_SECONDS: Final = 30.0
_LONGEST_NAME: Final = 255
_LONGEST_PATH: Final = 3072
_Given = TypeVar("_Given")


class Uploads:
    """Takes uploads for all folders. Each folder has threads of its own, so that a hung share stalls only itself."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._origins = Origins(config.state_dir / "origins")
        self._threads: dict[str, ThreadPoolExecutor] = {}
        self.under_way = 0
        self.received_files = 0
        self.received_bytes = 0

    def sweep(self) -> None:
        """Begin to remove what a console that died has left."""
        for folder in self._config.folders:
            self._executor(folder).submit(droppoint.sweep, folder)

    def close(self) -> None:
        """Take nothing more."""
        for each in self._threads.values():
            each.shutdown(wait=False)

    async def receive(
        self, folder: Folder, name: str, body: AsyncIterator[bytes], *, size: int | None, who: Person
    ) -> Uploaded:
        """Put one body into an inbox under ``name``; ``size`` is what the request promises, None when it does not.

        Raises DeclinedError, HostError or PermanentError, and leaves nothing then.
        """
        self._check(folder, name, size)
        self.under_way += 1
        try:
            drop = await self._begun(folder, name, size)
            try:
                placed = await self._take(folder, drop, body, who)
            finally:
                self._discard(folder, drop)
        finally:
            self.under_way -= 1
        self.received_files += 1
        self.received_bytes += drop.size
        _log.info("uploaded", folder=folder.id, name=placed, size=drop.size, user=who.name, address=who.address)
        return Uploaded(folder=folder.id, name=display(placed), size=drop.size)

    async def _begun(self, folder: Folder, name: str, size: int | None) -> Drop:
        state = self._config.state_dir
        call = self._executor(folder).submit(lambda: droppoint.begin(state, folder, name, size=size))
        try:
            return await self._in_time(folder, asyncio.wrap_future(call))
        except (HostError, asyncio.CancelledError):
            call.add_done_callback(lambda late: self._discard(folder, late.result()) if _gave(late) else None)
            raise

    def _discard(self, folder: Folder, drop: Drop) -> None:
        """Remove what is left of a drop: in a thread, for its disk may hang."""
        try:
            self._executor(folder).submit(drop.discard)
        except RuntimeError:  # the console ends
            drop.discard()

    async def _take(self, folder: Folder, drop: Drop, body: AsyncIterator[bytes], who: Person) -> str:
        most = self._most(folder)
        try:
            async for piece in pieces(body):
                if drop.size + len(piece) > most[0]:
                    raise _too_large(*most)
                await self._on_disk(folder, partial(drop.write, piece))
        except ClientDisconnect:
            raise DeclinedError(400, "upload_broken", f"the upload of {display(drop.name)} ended too early") from None
        if drop.size < max(1, folder.min_size):
            code = "too_small_file" if drop.size else "empty"
            raise DeclinedError(422, code, f"{drop.size} bytes are less than the folder takes")
        return await self._on_disk(folder, lambda: drop.finish(self._origins, user=who.name, address=who.address))

    def _check(self, folder: Folder, name: str, size: int | None) -> None:
        if self.under_way >= self._config.console.upload.at_once:
            message = f"{self.under_way} uploads are under way already"
            raise DeclinedError(503, "too_many_uploads", message, headers={"Retry-After": "2"})
        if not wanted(name, folder):
            raise DeclinedError(422, "name_unwanted", f"the folder {folder.id} takes no file '{display(name)}'")
        most = self._most(folder)
        if size is not None and size > most[0]:
            raise _too_large(*most)

    def _most(self, folder: Folder) -> tuple[int, str]:
        """The largest file, and the code of what limits it."""
        ours = self._config.console.upload.max_size
        return (folder.max_size, "too_large_file") if folder.max_size <= ours else (ours, "too_large_upload")

    async def _on_disk(self, folder: Folder, act: Callable[[], _Given]) -> _Given:
        return await self._in_time(folder, asyncio.get_running_loop().run_in_executor(self._executor(folder), act))

    async def _in_time(self, folder: Folder, call: asyncio.Future[_Given]) -> _Given:
        call.add_done_callback(_forget)
        try:
            async with asyncio.timeout(_DISK_SECONDS):
                return await asyncio.shield(call)
        except TimeoutError:
            raise HostError("not_answering", f"the disk of the folder {folder.id} does not answer") from None

    def _executor(self, folder: Folder) -> ThreadPoolExecutor:
        if folder.id not in self._threads:
            self._threads[folder.id] = ThreadPoolExecutor(_THREADS, thread_name_prefix=f"upload {folder.id}")
        return self._threads[folder.id]


def name_of(raw: bytes) -> str:
    """The file's name from the raw end of a request's path; undecodable bytes as surrogate escapes.

    Raises DeclinedError ``name_refused`` for anything that is not plainly below the inbox, or too long for a disk.
    """
    name = os.fsdecode(unquote_to_bytes(raw))
    parts = name.split("/")
    wrong = (
        any(part in ("", ".", "..") for part in parts)
        or "\0" in name
        or any(len(os.fsencode(part)) > _LONGEST_NAME for part in parts)
        or len(os.fsencode(name)) > _LONGEST_PATH
    )
    if wrong:
        raise DeclinedError(422, "name_refused", f"'{display(name[:_LONGEST_NAME])}' is no name for a file in a folder")
    return name


async def pieces(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """A body in pieces of some hundred KiB. Raises DeclinedError ``too_slow`` when nothing comes for long."""
    gathered: list[bytes] = []
    size = 0
    chunks = aiter(body)
    while True:
        try:
            async with asyncio.timeout(SILENCE_SECONDS):
                chunk = await anext(chunks)
        except StopAsyncIteration:
            break
        except TimeoutError:
            raise DeclinedError(408, "too_slow", f"nothing came for {SILENCE_SECONDS:g} s") from None
        gathered.append(chunk)
        size += len(chunk)
        if size >= _PIECE:
            yield b"".join(gathered)
            gathered, size = [], 0
    if size:
        yield b"".join(gathered)


def _too_large(most: int, code: str) -> DeclinedError:
    return DeclinedError(413, code, f"more than {most} bytes are not taken")


def _gave(call: Future[Drop]) -> bool:
    return not call.cancelled() and call.exception() is None


def _forget(call: asyncio.Future[Any]) -> None:
    if not call.cancelled():
        call.exception()

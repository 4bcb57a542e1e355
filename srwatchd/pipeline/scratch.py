"""Scratch files for rasters: nameless, so that nothing is left behind whatever dies."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import tempfile
from typing import TYPE_CHECKING, Final

from srwatchd.pipeline.footprint import check_scratch
from srwatchd.storage import host_errors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Scratch", "put_away"]

_LARGE: Final = 64 << 20
"""Bytes from which on making and freeing a file takes long on some file systems: tmpfs clears every page, others write
every block. The event loop does not wait for that."""


class Scratch:
    """A directory in which nameless files are made.

    A raster lives in the page cache and on disk only if memory is short, so a large picture costs disk, not memory. One
    of up to ``in_memory`` bytes has no disk behind it: it would be gone before anything of it was written.
    """

    def __init__(self, directory: Path, *, in_memory: int = 0) -> None:
        self.directory = directory
        self._in_memory = in_memory

    def open(self, size: int = 0) -> int:
        """A read-write descriptor of a new nameless file of ``size`` bytes, all zero and without blocks.

        Raises :class:`HostError` (``disk_full`` when fewer than ``size`` bytes are free, as a write through a map of
        a full disk would end the worker with SIGBUS instead of an error).
        """
        with host_errors(self.directory, "making a scratch file in"):
            if 0 < size <= self._in_memory:
                return _memory_file(size)
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            check_scratch(size, self._free(), place=str(self.directory))
            descriptor = self._nameless()
            try:
                if size:
                    _reserve(descriptor, size)
            except OSError:
                os.close(descriptor)
                raise
            return descriptor

    async def reserved(self, size: int) -> int:
        """:meth:`open` without holding the event loop up. Cancelled, nothing stays open."""
        if size < _LARGE:
            return self.open(size)
        opening = asyncio.ensure_future(asyncio.to_thread(self.open, size))
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_unwanted)
            raise

    def free(self) -> int:
        """The bytes that scratch files may still take; HostError when the directory cannot be made."""
        with host_errors(self.directory, "making a scratch file in"):
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            return self._free()

    def _free(self) -> int:
        space = os.statvfs(self.directory)
        return space.f_bavail * space.f_frsize

    @contextlib.contextmanager
    def file(self, size: int = 0) -> Iterator[int]:
        """:meth:`open` for the time of the block."""
        descriptor = self.open(size)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _nameless(self) -> int:
        try:
            return os.open(self.directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            if error.errno not in (errno.EISDIR, errno.EOPNOTSUPP, errno.ENOENT):
                raise
        descriptor, name = tempfile.mkstemp(dir=self.directory)
        os.unlink(name)
        return descriptor


def put_away(descriptor: int) -> None:
    """Close a scratch file; inside an event loop a large one is freed in a thread."""
    large = os.fstat(descriptor).st_blocks * 512 >= _LARGE
    with contextlib.suppress(RuntimeError):  # there is no loop
        if large:
            asyncio.get_running_loop().run_in_executor(None, os.close, descriptor)
            return
    os.close(descriptor)


def _unwanted(opening: asyncio.Future[int]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        put_away(opening.result())


def _memory_file(size: int) -> int:
    descriptor = os.memfd_create("raster", os.MFD_CLOEXEC)
    try:
        os.ftruncate(descriptor, size)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _reserve(descriptor: int, size: int) -> None:
    """Reserve blocks, so that writing through a memory map cannot run out of space half way."""
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
            raise
        os.ftruncate(descriptor, size)

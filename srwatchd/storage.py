"""Durable file-system steps: what a power cut leaves behind is either the old state or the new one.

Every function here is synchronous, takes paths or descriptors, and raises :class:`OSError` untranslated unless it
says otherwise; :func:`host_errors` is the one place where an errno becomes a :class:`~srwatchd.errors.HostError`.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import os
from typing import TYPE_CHECKING, Any, Final

from srwatchd.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = [
    "STAGING_PREFIX",
    "WriteBehind",
    "fsync_directory",
    "hash_descriptor",
    "hash_file",
    "host_errors",
    "open_beneath",
    "open_directory",
    "rename_exclusive",
    "set_mode",
    "sync_directory",
    "write_durably",
]

STAGING_PREFIX: Final = ".srwatchd-"
"""What every staged file's name begins with; the only dot names that srwatchd makes outside `.srwatchd/`."""

_CHUNK: Final = 1 << 20
_RENAME_NOREPLACE: Final = 1
_renameat2: Any = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)  # old C libraries have none
_NO_SUCH_RENAME: Final = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP})
_NO_SUCH_LINK: Final = frozenset({errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EMLINK})

_sync_file_range: Any = getattr(ctypes.CDLL(None, use_errno=True), "sync_file_range", None)
_WAIT_BEFORE_AND_WRITE: Final = 1 | 2
_NO_SUCH_SYNC: Final = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.ESPIPE, errno.EPERM})

_HOST_CODES: Final[dict[int, str]] = {
    errno.ENOSPC: "disk_full",
    errno.EDQUOT: "disk_full",
    errno.EROFS: "read_only",
    errno.EACCES: "not_writable",
    errno.EPERM: "not_writable",
    errno.ENOENT: "folder_missing",
    errno.ENOTDIR: "folder_missing",
    errno.ESTALE: "folder_missing",
    errno.ENOTCONN: "folder_missing",
}


@contextlib.contextmanager
def host_errors(path: str | os.PathLike[str], doing: str) -> Iterator[None]:
    """Translate an :class:`OSError` inside the block into a :class:`HostError` that names ``path`` and what failed."""
    try:
        yield
    except OSError as error:
        code = _HOST_CODES.get(error.errno or 0, "io_error")
        place = os.fspath(path)
        raise HostError(code, f"{doing} {place!r}: {os.strerror(error.errno or errno.EIO)}", path=place) from error


def open_directory(path: str | os.PathLike[str], *, dir_fd: int | None = None) -> int:
    """A descriptor of a directory itself; a symbolic link in its place is refused (ELOOP or ENOTDIR)."""
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=dir_fd)


@contextlib.contextmanager
def open_beneath(
    root_fd: int,
    relative: str,
    *,
    make_mode: int | None = None,
    made: Callable[[int], None] | None = None,
) -> Iterator[int]:
    """A descriptor of the directory ``relative`` below ``root_fd``, walked one component at a time without links.

    ``relative`` is a normalised relative path, "" or "." for the root itself; an absolute path, ".." or a NUL is
    refused (EINVAL), a link on the way too (ELOOP or ENOTDIR). With ``make_mode`` missing components are made with
    exactly that mode whatever the umask is, ``made`` is called with the descriptor of each new one before its mode
    is set (to give it a group), and on return the entry of every component is durable, whoever made it.

    Crash between making a directory and setting its mode: it stays, with ``make_mode`` less the umask.
    """
    if relative.startswith("/") or "\0" in relative or ".." in relative.split("/"):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), relative)
    current = os.dup(root_fd)
    try:
        for part in relative.split("/"):
            if part in ("", "."):
                continue
            if make_mode is not None:
                _make_directory(part, make_mode, dir_fd=current, made=made)
            below = open_directory(part, dir_fd=current)
            os.close(current)
            current = below
        yield current
    finally:
        os.close(current)


def _make_directory(name: str, mode: int, *, dir_fd: int, made: Callable[[int], None] | None) -> None:
    """Make ``name`` unless it is there; undone when it cannot be finished, so that a repetition makes it again."""
    try:
        os.mkdir(name, mode & 0o777 | 0o700, dir_fd=dir_fd)
    except FileExistsError:
        sync_directory(dir_fd)
        return
    try:
        descriptor = open_directory(name, dir_fd=dir_fd)
        try:
            if made is not None:
                made(descriptor)
            set_mode(descriptor, mode)
            sync_directory(descriptor)
        finally:
            os.close(descriptor)
        sync_directory(dir_fd)
    except BaseException:
        with contextlib.suppress(OSError):
            os.rmdir(name, dir_fd=dir_fd)
        raise


def set_mode(descriptor: int, mode: int) -> None:
    """Give an open file or directory of ours exactly ``mode``; file systems without modes (vfat) stay as they are."""
    try:
        os.fchmod(descriptor, mode)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP):
            raise


def sync_directory(descriptor: int) -> None:
    """Make the entries of an open directory durable; file systems that cannot fsync a directory are believed."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise


def fsync_directory(path: str | os.PathLike[str]) -> None:
    """Make the entries of a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sync_directory(descriptor)
    finally:
        os.close(descriptor)


def rename_exclusive(source: str, target: str, *, source_fd: int, target_fd: int) -> None:
    """Rename ``source`` below ``source_fd`` to ``target`` below ``target_fd`` unless ``target`` exists.

    Atomic and without a race: ``renameat2(RENAME_NOREPLACE)``, or ``link`` and ``unlink`` where the file system or
    the C library lacks it. Raises :class:`FileExistsError` when the name is taken, :class:`OSError` EXDEV across
    mounts and ENOTSUP where neither way exists for this file. Durable only after the caller has fsynced both
    directories.

    Crash between link and unlink: both names exist and are one inode; the caller's recovery removes ``source``.
    """
    code = errno.ENOSYS if _renameat2 is None else errno.EINTR
    while code == errno.EINTR:
        done = _renameat2(source_fd, os.fsencode(source), target_fd, os.fsencode(target), _RENAME_NOREPLACE) == 0
        if done:
            return
        code = ctypes.get_errno()
    if code not in _NO_SUCH_RENAME:
        raise OSError(code, os.strerror(code), source, None, target)
    try:
        os.link(source, target, src_dir_fd=source_fd, dst_dir_fd=target_fd, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_SUCH_LINK:
            raise
        raise OSError(errno.ENOTSUP, "no exclusive rename and no hard link here", source, None, target) from error
    try:
        os.unlink(source, dir_fd=source_fd)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(target, dir_fd=target_fd)
        raise


def write_durably(name: str, data: bytes, *, dir_fd: int, mode: int = 0o600) -> None:
    """Replace the file ``name`` below ``dir_fd`` by ``data``: staged, fsynced, renamed, directory fsynced.

    The mode is exact whatever the umask is, where the file system has modes. One writer per name. Crash: the old
    content stands (and a staged file that the next call replaces), or the new one.
    """
    staged = f"{STAGING_PREFIX}{hashlib.sha256(os.fsencode(name)).hexdigest()[:32]}.tmp"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with contextlib.suppress(FileNotFoundError):
        os.unlink(staged, dir_fd=dir_fd)
    descriptor = os.open(staged, flags, 0o600, dir_fd=dir_fd)
    try:
        with os.fdopen(descriptor, "wb") as file:
            set_mode(descriptor, mode)
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        os.rename(staged, name, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(staged, dir_fd=dir_fd)
        raise
    sync_directory(dir_fd)


def hash_descriptor(descriptor: int) -> str:
    """The sha256 of an open file's whole content in hexadecimal; the file offset is not used."""
    digest = hashlib.sha256()
    offset = 0
    while chunk := os.pread(descriptor, _CHUNK, offset):
        digest.update(chunk)
        offset += len(chunk)
    return digest.hexdigest()


def hash_file(path: Path) -> str:
    """The sha256 of the file at ``path`` in hexadecimal."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return hash_descriptor(descriptor)
    finally:
        os.close(descriptor)


class WriteBehind:
    """Has the kernel write a file to the disk while it grows, so that memory does not fill with pages that wait for it.

    After every ``window`` bytes the writing of all that is dirty begins, once the writing begun before is over: at most
    two windows wait, and a file of less than one stays in memory. ``window`` None does nothing. It makes nothing
    durable (sync_file_range(2)); writes through a shared memory map count as well.
    """

    def __init__(self, descriptor: int, window: int | None) -> None:
        self._descriptor = descriptor
        self._window = window if _sync_file_range is not None else None
        self._dirty = 0

    def wrote(self, count: int) -> None:
        """Count ``count`` bytes that were just written. Raises OSError when an earlier write did not reach the disk."""
        self._dirty += count
        if self._window is None or self._dirty < self._window:
            return
        self._dirty = 0
        whole = ctypes.c_int64(0)
        while (
            _sync_file_range(ctypes.c_int(self._descriptor), whole, whole, ctypes.c_uint(_WAIT_BEFORE_AND_WRITE)) != 0
        ):
            code = ctypes.get_errno()
            if code in _NO_SUCH_SYNC:
                self._window = None
                return
            if code != errno.EINTR:
                raise OSError(code, os.strerror(code))

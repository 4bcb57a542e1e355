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
from typing import TYPE_CHECKING, Final

from srwatchd.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = [
    "STAGING_PREFIX",
    "fsync_directory",
    "hash_descriptor",
    "host_errors",
    "open_beneath",
    "open_directory",
    "rename_exclusive",
    "write_durably",
]

STAGING_PREFIX: Final = ".srwatchd-"
"""What every staged file's name begins with; the only dot names that srwatchd makes outside `.srwatchd/`."""

_CHUNK: Final = 1 << 20
_RENAME_NOREPLACE: Final = 1
_libc = ctypes.CDLL(None, use_errno=True)

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
def open_beneath(root_fd: int, relative: str, *, make_mode: int | None = None) -> Iterator[int]:
    """A descriptor of the directory ``relative`` below ``root_fd``, walked one component at a time without links.

    ``relative`` is a normalised relative path, "" or "." for the root itself. With ``make_mode`` missing components
    are made with exactly that mode and made durable.
    """
    current = os.dup(root_fd)
    try:
        for part in relative.split("/"):
            if part in ("", "."):
                continue
            if part == "..":
                raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), relative)
            if make_mode is not None:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, 0o700, dir_fd=current)
                    os.chmod(part, make_mode, dir_fd=current)
                    os.fsync(current)
            below = open_directory(part, dir_fd=current)
            os.close(current)
            current = below
        yield current
    finally:
        os.close(current)


def fsync_directory(path: str | os.PathLike[str]) -> None:
    """Make the entries of a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def rename_exclusive(source: str, target: str, *, source_fd: int, target_fd: int) -> None:
    """Rename ``source`` below ``source_fd`` to ``target`` below ``target_fd`` unless ``target`` exists.

    Atomic and without a race: ``renameat2(RENAME_NOREPLACE)``, or ``link`` and ``unlink`` on file systems that lack
    it. Raises :class:`FileExistsError` when the name is taken and :class:`OSError` (EXDEV) across mounts. Durable
    only after the caller has fsynced both directories.
    """
    result = _libc.renameat2(source_fd, os.fsencode(source), target_fd, os.fsencode(target), _RENAME_NOREPLACE)
    if result == 0:
        return
    code = ctypes.get_errno()
    if code not in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
        raise OSError(code, os.strerror(code), source, None, target)
    os.link(source, target, src_dir_fd=source_fd, dst_dir_fd=target_fd, follow_symlinks=False)
    os.unlink(source, dir_fd=source_fd)


def write_durably(name: str, data: bytes, *, dir_fd: int, mode: int = 0o600) -> None:
    """Replace the file ``name`` below ``dir_fd`` by ``data``: staged, fsynced, renamed, directory fsynced."""
    staged = f"{STAGING_PREFIX}{name[:64]}.tmp"
    descriptor = os.open(
        staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=dir_fd
    )
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.rename(staged, name, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(staged, dir_fd=dir_fd)
        raise
    os.fsync(dir_fd)


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

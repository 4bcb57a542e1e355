"""One look at one file: what it is, whether somebody writes to it, whether its end was ever written.

Nothing but regular files is opened, and no link is followed, whatever is put in a name's place meanwhile.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal
import stat
from typing import TYPE_CHECKING, Final

from srwatchd.errors import HostError
from srwatchd.intake.movable import check_movable
from srwatchd.intake.names import MARKER
from srwatchd.intake.observation import Lease, Look
from srwatchd.intake.owners import own_name, owner_name
from srwatchd.job import Snapshot
from srwatchd.storage import host_errors, open_beneath

if TYPE_CHECKING:
    from collections.abc import Iterator

    from srwatchd.intake.inbox import Inbox

__all__ = [
    "Lease",
    "Look",
    "NotAPlainFileError",
    "look",
    "look_at",
    "open_plain",
    "open_source",
    "prepare_leases",
    "snapshot_of",
]

_FLAGS: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY | os.O_CLOEXEC
_NOT_PLAIN: Final = frozenset({errno.ELOOP, errno.ENXIO, errno.ENODEV, errno.EISDIR})
_GONE: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG})


class NotAPlainFileError(Exception):
    """The name is a directory, a link, a FIFO, a socket or a device: never opened, never taken."""


def prepare_leases() -> None:
    """Ignore SIGIO in this process. Call once at start-up, in the main thread, before the first look with a lease.

    A writer that opens a file in the microseconds of a lease makes the kernel send SIGIO to the holder, and the
    default action would end the daemon. This is the one place that deals with it; a :func:`look` in a process where
    this was not called asks for no lease and answers UNKNOWN.
    """
    signal.signal(signal.SIGIO, signal.SIG_IGN)


def look(inbox: Inbox, name: str, *, lease: bool) -> Look:
    """Look at ``name`` (relative to the inbox) once; ``lease`` only on local mounts, elsewhere leases lie.

    Costs one open and about six system calls; a lease is given back at once. Raises FileNotFoundError when the file
    is gone, NotAPlainFileError when it is no regular file, and HostError for anything the file is not to blame for.
    """
    parent, _, base = name.rpartition("/")
    with _gone_or_host(inbox, name), open_beneath(inbox.root_fd, parent) as parent_fd:
        marker = _exists(base + MARKER, parent_fd)
        return look_at(parent_fd, base, name=name, lease=lease, marker=marker)


def look_at(dir_fd: int, base: str, *, name: str, lease: bool, marker: bool = False) -> Look:
    """:func:`look` at ``base`` below a directory's descriptor; the snapshot carries ``name``.

    Raises OSError untranslated, and NotAPlainFileError.
    """
    try:
        descriptor = open_plain(dir_fd, base)
    except BlockingIOError:  # another program's lease is being taken back: it is in use
        return Look(snapshot_of(name, _stat(base, dir_fd)), Lease.BUSY, marker=marker)
    except PermissionError:
        snapshot = snapshot_of(name, _stat(base, dir_fd))
        return Look(snapshot, readable=False, marker=marker, problem=_unreadable(name, snapshot.owner))
    try:
        state = _ask_lease(descriptor) if lease else Lease.UNKNOWN
        seen = os.fstat(descriptor)
        return Look(snapshot_of(name, seen), state, _hole_at_end(descriptor, seen.st_size), marker=marker)
    finally:
        os.close(descriptor)


def open_source(inbox: Inbox, name: str) -> int:
    """A descriptor of the file for reading; the caller closes it.

    Raises FileNotFoundError, NotAPlainFileError, or HostError ``source_unreadable`` or ``source_unmovable`` that names
    file, owner, remedy.
    """
    parent, _, base = name.rpartition("/")
    with _gone_or_host(inbox, name), open_beneath(inbox.root_fd, parent) as parent_fd:
        check_movable(inbox, name, parent_fd)
        try:
            return open_plain(parent_fd, base)
        except PermissionError:
            owner = _stat(base, parent_fd).st_uid
            path = str(inbox.root / name)
            raise HostError("source_unreadable", _unreadable(name, owner), path=path) from None


def open_plain(dir_fd: int, base: str) -> int:
    """A non-blocking read descriptor of a regular file; OSError, or NotAPlainFileError before anything is opened.

    The name is examined first, so no device or FIFO is opened on purpose; if one is swapped in between, the flags
    keep the open from blocking, from following a link and from gaining a terminal, and it is closed again.
    """
    if not stat.S_ISREG(_stat(base, dir_fd).st_mode):
        raise NotAPlainFileError(base)
    try:
        descriptor = os.open(base, _FLAGS, dir_fd=dir_fd)
    except OSError as error:
        if error.errno in _NOT_PLAIN:
            raise NotAPlainFileError(base) from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotAPlainFileError(base)
    return descriptor


def snapshot_of(name: str, seen: os.stat_result) -> Snapshot:
    """The snapshot of a stat result."""
    return Snapshot(
        name=name,
        device=seen.st_dev,
        inode=seen.st_ino,
        size=seen.st_size,
        mtime_ns=seen.st_mtime_ns,
        ctime_ns=seen.st_ctime_ns,
        owner=seen.st_uid,
    )


@contextlib.contextmanager
def _gone_or_host(inbox: Inbox, name: str) -> Iterator[None]:
    """Let "gone" through, also when a folder above it went or became something else; translate all other OSErrors."""
    with host_errors(inbox.root / name, "cannot look at"):
        try:
            yield
        except PermissionError as error:
            message = f"{own_name()} may not enter a folder above {name!r}"
            raise HostError("source_unreadable", message, path=str(inbox.root / name)) from error
        except OSError as error:
            if error.errno not in _GONE:
                raise
            missing: Exception = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
        else:
            return
    raise missing


def _ask_lease(descriptor: int) -> Lease:
    """A read lease is granted only while nobody has the file open for writing (fcntl(2), F_SETLEASE)."""
    if signal.getsignal(signal.SIGIO) is not signal.SIG_IGN:
        return Lease.UNKNOWN
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except BlockingIOError:
        return Lease.BUSY
    except OSError:
        return Lease.UNKNOWN
    with contextlib.suppress(OSError):  # closing the descriptor gives it back, too
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return Lease.FREE


def _hole_at_end(descriptor: int, size: int) -> bool:
    """Whether the last byte was never written: set to its final size or preallocated, and then abandoned.

    A hole elsewhere says nothing, since some file systems store runs of zeros as holes. lseek(2), SEEK_DATA.
    """
    if size == 0:
        return False
    try:
        os.lseek(descriptor, size - 1, os.SEEK_DATA)
    except OSError as error:
        return error.errno == errno.ENXIO
    return False


def _stat(base: str, dir_fd: int) -> os.stat_result:
    return os.stat(base, dir_fd=dir_fd, follow_symlinks=False)


def _exists(base: str, dir_fd: int) -> bool:
    try:
        return stat.S_ISREG(_stat(base, dir_fd).st_mode)
    except OSError:
        return False


def _unreadable(name: str, owner: int) -> str:
    return (
        f"{own_name()} may not read {name!r}, which belongs to {owner_name(owner)}: "
        "give it read permission, for example by a common group"
    )

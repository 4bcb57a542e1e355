"""The private side of one hot folder: its identity, its lock, and whether it is still the folder it was.

``<inbox>/.srwatchd/`` (0700) holds ``id`` (which inbox this is and which state it belongs to), ``lock`` and the
claims. It is opened without following links and must belong to the user that the daemon acts as.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import secrets
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from srwatchd.errors import HostError, InstanceError
from srwatchd.intake.names import PRIVATE
from srwatchd.intake.owners import own_name, owner_name
from srwatchd.storage import host_errors, open_directory, write_durably

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from typing import Self

__all__ = ["Inbox", "check_marked"]

_ID: Final = "id"
_LOCK: Final = "lock"
_ID_LIMIT: Final = 4096
_FOLDER_MODE: Final = 0o2775
_PRIVATE_MODE: Final = 0o700


@dataclass(frozen=True, slots=True)
class _Identity:
    """What ``.srwatchd/id`` says."""

    inbox: str
    state: str


class Inbox:
    """One open, locked hot folder. Made by :meth:`open` only; closed when no thread uses its descriptors any more.

    The descriptors keep the file system busy: a folder to be unmounted must be closed first, or unmounted lazily.
    """

    def __init__(self, root: Path, *, descriptors: tuple[int, int, int], identity: _Identity) -> None:
        self.root = root
        self.root_fd, self.private_fd, self._lock_fd = descriptors
        self.inbox_id = identity.inbox
        self._identity = identity
        self._closed = False

    @classmethod
    def open(cls, root: Path, *, state_id: str, create: bool) -> Inbox:
        """Open, check and lock the folder.

        With ``create`` a missing folder is made and an unmarked one is marked as belonging to ``state_id``; without,
        both are errors, so that an empty mount point never passes for the folder. Raises HostError
        (``folder_missing``, ``folder_unmarked``, ``folder_foreign``, ``not_writable``, ``read_only``, ...), or
        InstanceError when another process holds the lock.
        """
        with contextlib.ExitStack() as opened, host_errors(root, "cannot open the inbox"):
            if create:
                _make_folder(root)
            root_fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            opened.callback(os.close, root_fd)
            private_fd = _open_private(root, root_fd, create=create)
            opened.callback(os.close, private_fd)
            _check_owner(root, private_fd)
            lock_fd = _lock(root, private_fd)
            opened.callback(os.close, lock_fd)
            identity = _identify(root, private_fd, state_id=state_id, create=create)
            opened.pop_all()
        return cls(root, descriptors=(root_fd, private_fd, lock_fd), identity=identity)

    def check(self) -> None:
        """Raise HostError unless the path still leads to this very folder with this very identity.

        Finds a folder that was deleted, renamed, replaced, unmounted or mounted over, and a private folder or an
        id file that was taken away.
        """
        with host_errors(self.root, "the inbox is not there:"):
            if not _same(os.stat(self.root), os.fstat(self.root_fd)):
                message = (
                    f"another folder is in the place of the inbox {str(self.root)!r}: renamed, replaced or mounted"
                )
                raise HostError("folder_missing", message, path=str(self.root))
        with host_errors(self.root / PRIVATE, "the private folder is not there:"):
            there = os.stat(PRIVATE, dir_fd=self.root_fd, follow_symlinks=False)
            if not _same(there, os.fstat(self.private_fd)):
                raise _unmarked(self.root, "its private folder was replaced")
        if _read_identity(self.root, self.private_fd) != self._identity:
            raise _unmarked(self.root, "its id was changed or removed")

    def close(self) -> None:
        """Give up the lock and the descriptors; may be called again."""
        if not self._closed:
            self._closed = True
            for descriptor in (self._lock_fd, self.private_fd, self.root_fd):
                os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def check_marked(root: Path, state_id: str) -> None:
    """Raise HostError unless the folder is an inbox of the state ``state_id``; takes no lock and changes nothing."""
    with contextlib.ExitStack() as opened, host_errors(root, "cannot open the inbox"):
        root_fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        opened.callback(os.close, root_fd)
        private_fd = _open_private(root, root_fd, create=False)
        opened.callback(os.close, private_fd)
        _identify(root, private_fd, state_id=state_id, create=False)


def _make_folder(root: Path) -> None:
    if not root.is_dir():
        root.parent.mkdir(parents=True, exist_ok=True)
        root.mkdir(exist_ok=True)
        root.chmod(_FOLDER_MODE)


def _open_private(root: Path, root_fd: int, *, create: bool) -> int:
    try:
        if create:
            with contextlib.suppress(FileExistsError):
                os.mkdir(PRIVATE, _PRIVATE_MODE, dir_fd=root_fd)
                os.fsync(root_fd)
        return open_directory(PRIVATE, dir_fd=root_fd)
    except FileNotFoundError:
        raise _unmarked(root, "it has no .srwatchd folder") from None
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENOTDIR):
            raise
        message = f"{str(root / PRIVATE)!r} is a link or a file, not srwatchd's own folder; remove it"
        raise HostError("folder_foreign", message, path=str(root)) from error


def _check_owner(root: Path, private_fd: int) -> None:
    """Refuse a private folder that somebody else made; also proves that we can write into it.

    Compared with the owner of a file made here and now, because some file systems give every file one owner.
    """
    name = f"probe-{secrets.token_hex(8)}"
    descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=private_fd)
    try:
        mine = os.fstat(descriptor).st_uid
    finally:
        os.close(descriptor)
        os.unlink(name, dir_fd=private_fd)
    found = os.fstat(private_fd)
    if found.st_uid != mine:
        message = f"{str(root / PRIVATE)!r} belongs to {owner_name(found.st_uid)}, not to {own_name()}"
        raise HostError("folder_foreign", message, path=str(root))
    if stat.S_IMODE(found.st_mode) != _PRIVATE_MODE:
        with contextlib.suppress(PermissionError):  # file systems without modes
            os.fchmod(private_fd, _PRIVATE_MODE)


def _lock(root: Path, private_fd: int) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(_LOCK, flags, 0o600, dir_fd=private_fd)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise InstanceError("another_instance", f"another srwatchd works on the inbox {str(root)!r}") from None
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _identify(root: Path, private_fd: int, *, state_id: str, create: bool) -> _Identity:
    identity = _read_identity(root, private_fd)
    if identity is None:
        if not create:
            raise _unmarked(root, "it has no id")
        identity = _Identity(inbox=secrets.token_hex(16), state=state_id)
        data = {"version": 1, "inbox": identity.inbox, "state": identity.state}
        write_durably(_ID, json.dumps(data).encode("ascii") + b"\n", dir_fd=private_fd)
    if identity.state != state_id:
        message = f"the inbox {str(root)!r} belongs to the state {identity.state!r}, not to {state_id!r}"
        raise HostError("folder_foreign", message, path=str(root))
    return identity


def _read_identity(root: Path, private_fd: int) -> _Identity | None:
    """The id file's content; None when there is none. A damaged one is never taken for a missing one."""
    with host_errors(root / PRIVATE / _ID, "cannot read"):
        try:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(_ID, flags, dir_fd=private_fd)
        except FileNotFoundError:
            return None
        with open(descriptor, "rb") as file:
            raw = file.read(_ID_LIMIT)
    try:
        data = json.loads(raw)
        return _Identity(inbox=str(data["inbox"]), state=str(data["state"]))
    except (ValueError, KeyError, TypeError):
        raise _unmarked(root, f"{PRIVATE}/{_ID} is damaged; remove that file to mark the folder anew") from None


def _unmarked(root: Path, why: str) -> HostError:
    return HostError("folder_unmarked", f"the inbox {str(root)!r} is not the one it was: {why}", path=str(root))


def _same(one: os.stat_result, other: os.stat_result) -> bool:
    return (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)

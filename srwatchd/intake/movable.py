"""Whether a file of an inbox can be moved into the inbox's private folder, asked before anything is done with it."""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING, Final

from srwatchd.errors import HostError
from srwatchd.intake.owners import own_name, owner_name

if TYPE_CHECKING:
    from srwatchd.intake.inbox import Inbox

__all__ = ["check_movable", "on_another_mount", "protected"]

_CAP_FOWNER: Final = 3  # linux/capability.h


def check_movable(inbox: Inbox, name: str, parent_fd: int) -> None:
    """Raise HostError ``source_unmovable`` when ``name`` cannot be moved out of its folder, open as ``parent_fd``.

    Asked before a picture is decoded, so that one that stays costs next to nothing. A read-only file system is not
    that folder's fault.
    """
    path = str(inbox.root / name)
    folder = os.fstat(parent_fd)
    if not os.access(".", os.W_OK | os.X_OK, dir_fd=parent_fd, effective_ids=True):
        if os.fstatvfs(parent_fd).f_flag & os.ST_RDONLY:
            return
        message = f"{own_name()} may not move {path!r}: give it write permission on the folder, which belongs to "
        message += owner_name(folder.st_uid)
        raise HostError("source_unmovable", message, path=path)
    if folder.st_mode & stat.S_ISVTX:
        owner = os.stat(name.rpartition("/")[2], dir_fd=parent_fd, follow_symlinks=False).st_uid
        if os.geteuid() not in (owner, folder.st_uid) and not _ignores_owners():
            raise protected(path, owner)
    if _mount(parent_fd) != _mount(inbox.private_fd):
        raise on_another_mount(path)


def protected(path: str, owner: int) -> HostError:
    """The error for a file that the permissions of its folder keep where it is."""
    message = (
        f"{own_name()} may not move {path!r}, which belongs to {owner_name(owner)}: "
        "give it write permission on the folder that holds the file, and no sticky bit there"
    )
    return HostError("source_unmovable", message, path=path)


def on_another_mount(path: str) -> HostError:
    """The error for a file that no rename can bring into the private folder."""
    message = f"{path!r} lies on another mount than its inbox: make that mount an inbox of its own"
    return HostError("source_unmovable", message, hint="Give every mount its own folder.", path=path)


def _ignores_owners() -> bool:
    """Whether sticky bits mean nothing to us (capabilities(7))."""
    with (
        contextlib.suppress(OSError, ValueError),
        open("/proc/self/status", encoding="ascii", errors="replace") as file,
    ):
        for line in file:
            if line.startswith("CapEff:"):
                return bool(int(line.split()[1], 16) >> _CAP_FOWNER & 1)
    return os.geteuid() == 0


def _mount(descriptor: int) -> str:
    """The mount that an open folder is on (proc(5), fdinfo); "" where the kernel does not tell."""
    with contextlib.suppress(OSError), open(f"/proc/self/fdinfo/{descriptor}", encoding="ascii") as file:
        for line in file:
            if line.startswith("mnt_id:"):
                return line
    return ""

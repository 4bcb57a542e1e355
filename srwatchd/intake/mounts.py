"""Which mount a folder lies on, and how long a file on it must be left alone.

The formats are those of proc_pid_mountinfo(5) and proc_pid_fdinfo(5).
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from srwatchd.intake.folder import HotFolder

__all__ = ["LOCAL", "REMOTE", "SHARED", "Mount", "Timing", "mount_of", "parse", "timing_of"]

# fmt: off
_REMOTE_TYPES: Final = frozenset({
    "9p", "acfs", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "gfs2", "glusterfs", "gpfs", "lustre", "ncpfs",
    "ocfs2", "orangefs", "prl_fs", "pvfs2", "smb3", "smbfs", "vboxsf", "virtiofs", "vmhgfs",
})
# fmt: on
# fmt: off
_LOCAL_FUSE: Final = frozenset({
    "bindfs", "dwarfs", "encfs", "exfat", "fuse-overlayfs", "gocryptfs", "mergerfs", "ntfs", "ntfs-3g", "unionfs",
    "unionfs-fuse",
})
# fmt: on
_OCTAL: Final = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of the mount table. ``device`` is "major:minor", ``number`` the mount's id in this namespace."""

    point: str
    fs_type: str
    source: str
    device: str
    number: int = 0

    @property
    def remote(self) -> bool:
        """Whether other machines can write to it without this kernel seeing it: no events, no leases, no times."""
        if self.fs_type.startswith("nfs") or self.fs_type in _REMOTE_TYPES:
            return True
        kind, _, helper = self.fs_type.partition(".")
        return kind == "fuse" and helper not in _LOCAL_FUSE


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds without change until a file is complete (``settle``) or given up (``grace``); ``poll``: no hints."""

    settle: float
    grace: float
    poll: bool = False


LOCAL: Final = Timing(2.0, 60.0)
SHARED: Final = Timing(5.0, 120.0)
"""A local folder that a Samba server on the same host hands out: clients pause and resume."""
REMOTE: Final = Timing(30.0, 120.0, poll=True)


def timing_of(mount: Mount, folder: HotFolder, *, shared: bool = False) -> Timing:
    """The times for a folder on ``mount``; the folder's own settings win over what the mount calls for."""
    usual = REMOTE if mount.remote else SHARED if shared else LOCAL
    poll = usual.poll if folder.watch_mode == "auto" else folder.watch_mode == "poll"
    settle = usual.settle if folder.settle is None else folder.settle
    grace = usual.grace if folder.grace is None else folder.grace
    return Timing(settle, max(grace, settle) if folder.grace is None else grace, poll)


def parse(lines: Iterable[str]) -> list[Mount]:
    """The mounts of a mountinfo table, in its order; lines of another shape are skipped."""
    mounts = []
    for line in lines:
        left, dash, right = line.rstrip("\n").partition(" - ")
        head, tail = left.split(" "), right.split(" ")
        if not dash or len(head) < 6 or len(tail) < 2 or not head[0].isdigit():  # noqa: PLR2004 - proc_pid_mountinfo(5)
            continue
        mounts.append(Mount(_plain(head[4]), tail[0], _plain(tail[1]), head[2], int(head[0])))
    return mounts


def mount_of(path: str | os.PathLike[str]) -> Mount:
    """The mount that ``path`` lies on.

    The kernel is asked for the mount of an opened descriptor, so bind mounts, several mounts on one point and mounts
    hidden below others are told apart. Raises OSError when ``path`` cannot be opened or nothing is known of it.
    """
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        with open(f"/proc/self/fdinfo/{descriptor}", encoding="ascii") as file:
            number = next((int(line.split()[1]) for line in file if line.startswith("mnt_id:")), -1)
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            mounts = parse(file)
    finally:
        os.close(descriptor)
    for mount in mounts:
        if mount.number == number:
            return mount
    return _longest(os.path.realpath(path), mounts)


def _longest(path: str, mounts: list[Mount]) -> Mount:
    """The last mount with the longest point above ``path``; a sandbox may hide a mount's own line."""
    above = [mount for mount in mounts if os.path.commonpath((mount.point, path)) == mount.point]
    if not above:
        raise FileNotFoundError(2, "no mount is known for it", path)
    return max(enumerate(above), key=lambda item: (len(item[1].point), item[0]))[1]


def _plain(field: str) -> str:
    """A field without its octal escapes (space, tab, newline, backslash)."""
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), field)

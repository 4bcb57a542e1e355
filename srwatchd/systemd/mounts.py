"""Which mounts a folder depends on: those that are there, and those that fstab announces."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from srwatchd.intake.mounts import parse
from srwatchd.systemd.escaping import mount_unit

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["MountPoint", "known_mounts"]

_OCTAL: Final = re.compile(r"\\([0-7]{3})")
_FSTAB_FIELDS: Final = 4
_NOT_FOR_FILES: Final = frozenset({"swap", "none"})


@dataclass(frozen=True, slots=True)
class MountPoint:
    """Where something is or will be mounted; ``automount``: on first use."""

    path: str
    automount: bool = False

    @property
    def unit(self) -> str:
        """The unit that stands for it."""
        return mount_unit(self.path, "automount" if self.automount else "mount")

    def holds(self, path: str) -> bool:
        """Whether ``path`` is this place or below it."""
        return path == self.path or path.startswith(f"{self.path.rstrip('/')}/")


def known_mounts(mountinfo: Iterable[str], fstab: Iterable[str]) -> tuple[MountPoint, ...]:
    """Every mount point besides ``/``, shortest first, from the lines of proc_pid_mountinfo(5) and fstab(5).

    An entry that is mounted on first use (autofs, ``x-systemd.automount``) is its automount unit: wanting the mount
    itself would wait for the server.
    """
    points: dict[str, bool] = {}
    for mount in parse(mountinfo):
        points[mount.point] = points.get(mount.point, False) or mount.fs_type == "autofs"
    for line in fstab:
        fields = line.split()
        if len(fields) < _FSTAB_FIELDS or line.lstrip().startswith("#") or fields[2] in _NOT_FOR_FILES:
            continue
        point = _plain(fields[1]).rstrip("/")
        if point.startswith("/"):
            options = fields[3].split(",")
            points[point] = points.get(point, False) or "x-systemd.automount" in options
    points.pop("/", None)
    return tuple(MountPoint(path, automount) for path, automount in sorted(points.items()))


def _plain(field: str) -> str:
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), field)

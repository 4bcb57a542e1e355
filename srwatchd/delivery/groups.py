"""The group of what srwatchd makes in a destination."""

from __future__ import annotations

import contextlib
import grp
import os

from srwatchd.errors import HostError

__all__ = ["give_group"]


def give_group(descriptor: int, group: str | None, *, default: int) -> None:
    """Give an open file or directory the group ``group`` (a name or a number), or the number ``default`` for None.

    To be done before the mode, since a change of group may clear the setgid bit. Raises HostError ``not_writable``
    when a group that was asked for does not exist or is refused; the default is a wish that may be refused.
    """
    if group is None:
        with contextlib.suppress(OSError):
            _change(descriptor, default)
        return
    number = _number(group)
    try:
        _change(descriptor, number)
    except OSError as error:
        hint = f"Make the daemon's user a member of the group {group}, or leave out output.group."
        message = f"giving the group {group!r} to a file: {os.strerror(error.errno or 0)}"
        raise HostError("not_writable", message, hint=hint) from error


def _change(descriptor: int, group: int) -> None:
    if os.fstat(descriptor).st_gid != group:
        os.fchown(descriptor, -1, group)


def _number(group: str) -> int:
    if group.isascii() and group.isdigit():
        return int(group)
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError as error:
        hint = f"Create the group {group}, or correct output.group."
        raise HostError("not_writable", f"there is no group {group!r}", hint=hint) from error

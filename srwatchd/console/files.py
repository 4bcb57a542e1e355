"""Files that a job has left, opened without ever leaving the folders of the configuration.

Their paths come from the ledger, which anybody may have written who can write there: nothing outside the done, archive
and error folders is opened, and no link on the way is followed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from srwatchd.console.refusals import DeclinedError
from srwatchd.storage import open_beneath

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from srwatchd.config import Config
    from srwatchd.console.account import Account

__all__ = ["Side", "opened", "path_of", "present", "relative_to_error"]

Side = Literal["source", "result"]
_NOTHING_THERE: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EINVAL, errno.ENAMETOOLONG})


@dataclass(frozen=True, slots=True)
class _Place:
    root: Path
    relative: str


def path_of(account: Account, side: Side) -> str | None:
    """Where the file is by the ledger, as named there; None when it was deleted, or never was."""
    if side == "result":
        path = account.get("result_path")
    elif account.get("outcome") == "failed":
        path = account.get("path")
    else:
        path = account.get("archive_path") or account.get("error_path")
    return path if isinstance(path, str) else None


def present(config: Config, account: Account, side: Side) -> bool:
    """Whether the file is there. Touches the disk."""
    try:
        descriptor = opened(config, account, side)
    except (DeclinedError, OSError):
        return False
    os.close(descriptor)
    return True


def opened(config: Config, account: Account, side: Side) -> int:
    """A descriptor of what has the file's name, for reading; :mod:`srwatchd.console.originals` compares it.

    Raises DeclinedError ``not_finished`` or ``file_gone``, OSError for a disk that refuses.
    """
    if account.get("outcome") == "running":
        raise DeclinedError(409, "not_finished", f"the {side} cannot be had: the picture is still in work")
    path = path_of(account, side)
    if path is None and side == "result":
        text = f"the job made no result: it ended as {account.get('outcome')}"
        raise DeclinedError(410, "file_gone", text, hint="The job's own message says why.")
    gone = DeclinedError(410, "file_gone", f"the {side} is not where the ledger says that it was put")
    place = _placed(config, path)
    if place is None:
        raise gone
    try:
        with _root(place.root) as root:
            parent, _, base = place.relative.rpartition("/")
            with open_beneath(root, parent) as folder:
                flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
                descriptor = os.open(base, flags, dir_fd=folder)
    except OSError as error:
        if error.errno in _NOTHING_THERE:
            raise gone from None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise gone
    return descriptor


def relative_to_error(config: Config, account: Account) -> tuple[str, str] | None:
    """The folder's id and the name in its error folder under which a quarantined source can be retried."""
    path = account.get("error_path")
    with contextlib.suppress(KeyError):
        root = str(config.folder(str(account.get("folder"))).error)
        if account.get("outcome") == "quarantined" and isinstance(path, str) and path.startswith(f"{root}/"):
            return str(account["folder"]), path.removeprefix(f"{root}/")
    return None


def _placed(config: Config, path: str | None) -> _Place | None:
    if path is None or "\0" in path:
        return None
    for folder in config.folders:
        for root in (folder.done, folder.archive, folder.error):
            if path.startswith(f"{root}/"):
                return _Place(root, path.removeprefix(f"{root}/"))
    return None


@contextlib.contextmanager
def _root(root: Path) -> Iterator[int]:
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)

"""One file's way into an inbox: staged under a hidden name, its origin left, then given a free name. Synchronous.

Until :meth:`Drop.finish` has renamed it nobody sees it; whatever ends an upload before leaves nothing but a hidden
file, which is removed at once, or after a crash by :func:`sweep`. The daemon takes it like any other file of its inbox.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
from collections.abc import Container
from typing import TYPE_CHECKING, Final, cast

from srwatchd.delivery import Destination
from srwatchd.delivery.steps import deliver
from srwatchd.errors import HostError, SrwatchdError
from srwatchd.intake.inbox import check_marked
from srwatchd.intake.names import MARKER
from srwatchd.storage import WriteBehind, host_errors

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from srwatchd.config import Folder
    from srwatchd.delivery.staging import Staged
    from srwatchd.intake.origins import Origins

__all__ = ["Drop", "begin", "sweep"]

_OURS: Final = "console-"
_WINDOW: Final = 8 << 20
_ID_LIMIT: Final = 128


class Drop:
    """A file on its way, for one thread after another.

    Every method may raise HostError, or PermanentError for a name that the disk refuses.
    """

    def __init__(self, folder: Folder, name: str, staged: Staged) -> None:
        self._folder = folder
        self.name = name
        self._staged = staged
        self._behind = WriteBehind(staged.fd, _WINDOW)
        self._one = threading.Lock()
        self.size = 0

    def write(self, data: bytes) -> None:
        """Append ``data``."""
        with self._one, host_errors(self._folder.inbox, "writing an upload into"):
            view = memoryview(data)
            while view:
                view = view[os.write(self._staged.fd, view) :]
            self._behind.wrote(len(data))
        self.size += len(data)

    def finish(self, origins: Origins, *, user: str, address: str) -> str:
        """Make it durable, leave who dropped it, and give it its name or the next free one, which is returned."""
        with self._one:
            placement = self._staged.seal()
            with host_errors(self._folder.inbox, "leaving who dropped a file for"):
                origins.leave(placement.device, placement.inode, user=user, address=address)
            placed = deliver(self._staged, self.name, record=lambda _placement: None)
        if self._folder.ready == "done_file":
            self._mark(placed.name)
        return placed.name

    def discard(self) -> None:
        """Remove it, unless it was finished; waits for a write that is under way. May be repeated."""
        with self._one:
            self._staged.discard()

    def _mark(self, name: str) -> None:
        """Say in the folder's own way that the file is complete."""
        parent, _, base = name.rpartition("/")
        with (
            _destination(self._folder).directory(parent) as directory,
            host_errors(self._folder.inbox, "marking an upload in"),
            contextlib.suppress(FileExistsError),
        ):
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            os.close(os.open(base + MARKER, flags, self._folder.output.file_mode, dir_fd=directory))


def begin(state_dir: Path, folder: Folder, name: str, *, size: int | None) -> Drop:
    """Begin the file ``name`` (relative to the inbox, checked by the caller) of ``size`` bytes, as far as it is known.

    Raises HostError: ``folder_unmarked`` and its like when the inbox is not the one it was, ``disk_full`` when there
    is no room for ``size``.
    """
    check_marked(folder.inbox, _state_id(state_dir))
    with host_errors(folder.inbox, "looking at"):
        room = os.statvfs(folder.inbox)
    free = room.f_bavail * room.f_frsize
    if size is not None and free < size:
        message = f"{size} bytes do not fit into {str(folder.inbox)!r}, where {free} are free"
        raise HostError("disk_full", message, path=str(folder.inbox))
    parent, _, _ = name.rpartition("/")
    staged = _destination(folder).stage(parent, _OURS + secrets.token_hex(16), purpose="source")
    return Drop(folder, name, staged)


def sweep(folder: Folder) -> list[str]:
    """Remove what uploads of a console that died have left in an inbox; the names."""
    with contextlib.suppress(SrwatchdError):
        return _destination(folder).sweep(cast("Collection[str]", _Foreign()))
    return []


class _Foreign(Container[str]):
    """Jobs whose staged files are not ours to remove."""

    def __contains__(self, job: object) -> bool:
        return not str(job).startswith(_OURS)


def _destination(folder: Folder) -> Destination:
    output = folder.output
    return Destination(folder.inbox, file_mode=output.file_mode, dir_mode=output.dir_mode, group=output.group)


def _state_id(state_dir: Path) -> str:
    try:
        with (state_dir / "id").open("rb") as file:
            return file.read(_ID_LIMIT).decode("ascii", "replace").strip()
    except FileNotFoundError:
        hint = "Start the daemon once: it marks its folders."
        raise HostError("folder_unmarked", "no daemon has run with this state yet", hint=hint) from None
    except OSError as error:
        raise HostError("io_error", f"reading {str(state_dir / 'id')!r}: {error.strerror}") from error

"""What a person asks for that moves files: pictures from the error folder back into the inbox."""

from __future__ import annotations

import contextlib
import json
import os
from typing import TYPE_CHECKING, Final

from srwatchd.audit import Entry
from srwatchd.delivery import Claim, Destination, archive
from srwatchd.delivery.names import SIDECAR_SUFFIX, sidecar_name
from srwatchd.errors import HostError
from srwatchd.intake.names import PRIVATE
from srwatchd.storage import STAGING_PREFIX, host_errors, open_beneath

if TYPE_CHECKING:
    from collections.abc import Iterator

    from srwatchd.audit import Ledger
    from srwatchd.config import Folder

__all__ = ["put_back"]

_LARGEST: Final = 1 << 20


def put_back(folder: Folder, names: set[str], ledger: Ledger) -> list[str]:
    """Move ``names`` (relative to the error folder; empty: everything) into the inbox, without their sidecars.

    Nothing in the inbox is overwritten: a taken name gets a number. What another folder that shares the error folder
    has put there is left to that one. Returns the names that were moved. Raises HostError, and moves nothing, while the
    inbox is not the marked one: a picture put into the mount point of an absent share would be out of sight.
    """
    if not os.path.lexists(folder.inbox / PRIVATE / "id"):
        message = f"nothing can be put back into {str(folder.inbox)!r}: it is not there, or does not carry its id"
        raise HostError("folder_unmarked", message, path=str(folder.inbox))
    inbox = Destination(folder.inbox, file_mode=folder.output.file_mode, dir_mode=folder.output.dir_mode)
    moved = []
    with host_errors(folder.error, "opening the error folder"):
        root = os.open(folder.error, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in list(_quarantined(root)):
            if names and name not in names:
                continue
            parent, _, base = name.rpartition("/")
            with open_beneath(root, parent) as directory:
                if _folder_of(base, directory) not in ("", folder.id):
                    continue
                claim = Claim(dir_fd=directory, name=base, job="retry", place=str(folder.error / name))
                placed = archive(claim, inbox, name, record=lambda _placement: None)
                if placed is None:
                    continue
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(sidecar_name(base), dir_fd=directory)
            fields = {"file.path": str(folder.inbox / placed.name), "srwatchd.folder": folder.id}
            ledger.append([Entry("control.retried", fields=fields)])
            moved.append(name)
    finally:
        os.close(root)
    return moved


def _folder_of(base: str, directory: int) -> str:
    """The id of the folder that has quarantined ``base``, by its sidecar; "" when that says nothing."""
    with contextlib.suppress(OSError, ValueError):
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with open(os.open(sidecar_name(base), flags, dir_fd=directory), "rb") as file:
            told = json.loads(file.read(_LARGEST))
            return str(told.get("folder", "")) if isinstance(told, dict) else ""
    return ""


def _quarantined(root: int) -> Iterator[str]:
    """Every quarantined file, relative; sidecars and staged files are none."""
    for path, _folders, files, _descriptor in os.fwalk(".", dir_fd=root, follow_symlinks=False):
        parent = path.removeprefix(".").removeprefix("/")
        for base in sorted(files):
            if not base.endswith(SIDECAR_SUFFIX) and not base.startswith(STAGING_PREFIX):
                yield f"{parent}/{base}" if parent else base

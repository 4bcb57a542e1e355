"""What a person asks for that moves files: pictures from the error folder back into the inbox."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from srwatchd.audit import Entry
from srwatchd.delivery import Claim, Destination, archive
from srwatchd.delivery.names import SIDECAR_SUFFIX, sidecar_name
from srwatchd.storage import STAGING_PREFIX, host_errors, open_beneath

if TYPE_CHECKING:
    from collections.abc import Iterator

    from srwatchd.audit import Ledger
    from srwatchd.config import Folder

__all__ = ["put_back"]


def put_back(folder: Folder, names: set[str], ledger: Ledger) -> list[str]:
    """Move ``names`` (relative to the error folder; empty: everything) into the inbox, without their sidecars.

    Nothing in the inbox is overwritten: a taken name gets a number. Returns the names that were moved; raises
    HostError.
    """
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


def _quarantined(root: int) -> Iterator[str]:
    """Every quarantined file, relative; sidecars and staged files are none."""
    for path, _folders, files, _descriptor in os.fwalk(".", dir_fd=root, follow_symlinks=False):
        parent = path.removeprefix(".").removeprefix("/")
        for base in sorted(files):
            if not base.endswith(SIDECAR_SUFFIX) and not base.startswith(STAGING_PREFIX):
                yield f"{parent}/{base}" if parent else base

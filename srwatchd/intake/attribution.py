"""Who dropped a file: asked of Samba's log, of what was left in ``state_dir/origins/``, and of the file's owner."""

from __future__ import annotations

import contextlib
import os
import pwd
from typing import TYPE_CHECKING

from srwatchd.intake.auditlog import AuditLog
from srwatchd.intake.origins import Origin
from srwatchd.intake.samba import Trails

if TYPE_CHECKING:
    from pathlib import Path

    from srwatchd.intake.origins import Origins
    from srwatchd.job import Record, Snapshot

__all__ = ["Attribution", "owner_of"]


class Attribution:
    """Attributes the files of one inbox. Blocks; used in the folder's lane. Never raises for what it cannot read.

    ``log`` is where Samba's ``full_audit`` writes about the inbox; None when it does not.
    """

    def __init__(self, inbox: Path, origins: Origins, *, log: Path | None = None) -> None:
        self._origins = origins
        self._trails = Trails(sorted({os.fspath(inbox), os.path.realpath(inbox)}))
        self._log = None if log is None else AuditLog(log, self._trails)
        if self._log is not None:
            self._log.catch_up()

    @property
    def problem(self) -> str:
        """What is wrong with Samba's log, and what to do; "" when nothing is."""
        return "" if self._log is None else self._log.problem

    def follow(self) -> None:
        """Read on in the log, so that it is not read all at once at a claim."""
        if self._log is not None:
            self._log.refresh()

    def of(self, snapshot: Snapshot) -> Origin:
        """Who dropped the file that ``snapshot`` saw."""
        self.follow()
        visitor = self._trails.who(snapshot.name, snapshot.ctime_ns)
        if visitor is not None:
            return Origin("samba", user=visitor.user, address=visitor.address)
        return self._origins.find(snapshot) or owner_of(snapshot)

    def taken(self, snapshot: Snapshot) -> None:
        """The file was claimed."""
        self._trails.forget(snapshot.name)
        self._origins.taken(snapshot)

    def given_back(self, record: Record) -> None:
        """The claimed file is about to go back to the inbox: its next claim is to know the same, if the disk allows."""
        seen = record.snapshot
        if record.origin not in ("", "owner"):
            with contextlib.suppress(OSError):
                self._origins.leave(
                    seen.device, seen.inode, user=record.user, address=record.address, known=record.origin
                )


def owner_of(snapshot: Snapshot) -> Origin:
    """The owner of the file on disk: who made it, as far as the file system knows."""
    try:
        user = pwd.getpwuid(snapshot.owner).pw_name
    except KeyError:
        user = ""
    return Origin("owner", user=user, uid=str(snapshot.owner))

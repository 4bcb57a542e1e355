r"""Claims: taking a file out of its writer's reach, remembering it, and giving it back.

A claim consists of files in ``<inbox>/.srwatchd/``, named after the job: ``<job>.json`` (the record, durable),
``<job>.src`` (the source, renamed here), ``<job>.done`` (its marker, in ``done_file`` mode) and ``<job>.run`` (while
a worker is on it, not durable). No source is ever unlinked here.

Order of operations, and what is found after a crash:

=========================================================  ============================================================
the crash comes after                                      found at the next start, and what follows
=========================================================  ============================================================
*take*
1  ``<job>.json`` made, its line not written               no record: removed; the source lies in the inbox
2  record and private dir fsynced                          orphan, CLAIMING, no source: drop; the source is in the inbox
3  source renamed to ``<job>.src``                         orphan, CLAIMING, source present: look, go on or release;
                                                           after a power cut also as 2
4  source folder and private dir fsynced                   orphan, CLAIMING, source present: as 3
5  marker renamed to ``<job>.done``                        as 4; a marker left by 4 is taken by :meth:`Claims.orphans`
*save*
6  a line added to the record, fsynced                     orphan in the new state; before it, in the old one
*release*
7  source renamed back into the inbox                      orphan, CLAIMING, CLAIMED or WAITING, no source: drop;
                                                           its marker is given back by :meth:`Claims.drop`
8  both folders fsynced, marker renamed back               as 7
*drop* (the source has gone to its place)
9  ``<job>.done``, ``<job>.run`` removed                   orphan in its last state: its last step is repeated, drop
10 ``<job>.json`` removed                                  nothing; after a power cut also as 9, see :meth:`drop`
*any time*
   the record is damaged or lost                           ``<job>.src`` without record: given back to the inbox as
                                                           ``recovered-<job>``
=========================================================  ============================================================
"""

from __future__ import annotations

import contextlib
import errno
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from srwatchd.errors import HostError, TransientError
from srwatchd.intake.look import NotAPlainFileError, look_at, open_plain, snapshot_of
from srwatchd.intake.movable import on_another_mount, protected
from srwatchd.intake.names import MARKER, numbered
from srwatchd.intake.owners import own_name, owner_name
from srwatchd.intake.records import Records
from srwatchd.intake.runs import Runs
from srwatchd.job import FINAL, Event, State, advance
from srwatchd.storage import STAGING_PREFIX, host_errors, open_beneath, rename_exclusive

if TYPE_CHECKING:
    from collections.abc import Iterator

    from srwatchd.intake.inbox import Inbox
    from srwatchd.intake.observation import Look
    from srwatchd.job import Record

__all__ = ["Claims", "Orphan"]

_FOLDER_MODE: Final = 0o2775
_NOT_ALLOWED: Final = frozenset({errno.EACCES, errno.EPERM})
_GONE: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
_RELEASABLE: Final = frozenset({State.CLAIMING, State.CLAIMED, State.WAITING})


@dataclass(frozen=True, slots=True)
class Orphan:
    """A claim that a crash left behind.

    ``interruptions``: how often the supervisor died with a worker on it, within this boot.
    """

    record: Record
    source_present: bool
    interruptions: int


class Claims:
    """The claims of one inbox. Each claim is for one thread at a time, :meth:`orphans` while nothing else is done.

    With ``markers`` a ``<name>.done`` beside a claimed file goes with it and comes back with it. ``boot_id`` is for
    tests. Every method raises HostError for what the machine is to blame for.
    """

    def __init__(self, inbox: Inbox, *, markers: bool = False, boot_id: str | None = None) -> None:
        self._inbox = inbox
        self._private = inbox.private_fd
        self._markers = markers
        self._runs = Runs(inbox.private_fd, boot_id=boot_id)
        self._records = Records(inbox.private_fd)
        self.recovered: tuple[str, ...] = ()
        """Names of sources without a readable record that the last :meth:`orphans` gave back to the inbox."""

    # -- taking and keeping -------------------------------------------------------------------------------------

    def take(self, record: Record) -> None:
        """Make the source ours: the record first, durably, then the rename, made durable, too.

        ``record`` must be CLAIMING. Raises TransientError ``source_vanished`` or ``source_changed`` when the name no
        longer holds what ``record.snapshot`` says, and HostError ``source_unmovable`` when we may not move it; in all
        these cases nothing is claimed and no record is left. After any other HostError the claim is undone, or, where
        that fails too, found by :meth:`orphans`.
        """
        if record.state is not State.CLAIMING:
            raise ValueError(f"a job that is {record.state.value} cannot be taken")
        self.save(record)
        try:
            self._move_in(record)
        except (TransientError, HostError):
            with contextlib.suppress(HostError, OSError):
                if self._present(_source(record.job)):
                    self._move_out(_source(record.job), record.name)
                self.drop(record)
            raise
        if self._markers:
            self._move_marker_in(record)

    def save(self, record: Record) -> None:
        """Write the record durably; the one before it does not count any more."""
        with host_errors(self._inbox.root, "cannot write a record in the inbox"):
            self._records.save(record)

    def source_fd(self, record: Record) -> int:
        """Open the claimed source for reading; the caller closes the descriptor.

        Raises HostError ``source_unreadable`` when we may move it but not read it, and TransientError
        ``source_vanished`` when somebody took it out of the private folder.
        """
        path = str(self._inbox.root / record.name)
        with self._claimed_source(record):
            try:
                return open_plain(self._private, _source(record.job))
            except PermissionError as error:
                owner = owner_name(record.snapshot.owner)
                message = f"{own_name()} may not read {path!r}, which belongs to {owner}: give it read permission"
                raise HostError("source_unreadable", message, path=path) from error

    def look(self, record: Record, *, lease: bool = True) -> Look:
        """Look at the claimed source again: same bytes, and is its writer gone? The snapshot has the inbox's name.

        Raises TransientError ``source_vanished`` when somebody took it out of the private folder.
        """
        with self._claimed_source(record):
            return look_at(self._private, _source(record.job), name=record.name, lease=lease)

    @contextlib.contextmanager
    def _claimed_source(self, record: Record) -> Iterator[None]:
        with host_errors(self._inbox.root / record.name, "cannot open the claimed"):
            try:
                yield
            except (FileNotFoundError, NotAPlainFileError) as error:
                message = f"the claimed {record.name!r} was taken out of the private folder"
                raise TransientError("source_vanished", message) from error

    def mark_running(self, record: Record) -> None:
        """A worker begins on it. Not durable: what dies with the machine is nobody's fault."""
        with host_errors(self._inbox.root, "cannot mark a job in the inbox"):
            self._runs.begin(record.job)

    def clear_running(self, record: Record) -> None:
        """The worker has ended, in whatever way; the supervisor is alive."""
        with host_errors(self._inbox.root, "cannot mark a job in the inbox"):
            self._runs.end(record.job)

    # -- giving back and letting go -----------------------------------------------------------------------------

    def release(self, record: Record) -> str:
        """Put the source back into the inbox and drop the record; returns the name it has now, relative.

        Its own name, or `` (1)`` and on when that is taken; a folder that was removed meanwhile is made again.
        Raises IllegalTransitionError in a state in which a source is not given back any more.
        """
        advance(record.state, Event.RELEASE)
        with host_errors(self._inbox.root / record.name, "cannot give back"):
            name = self._move_out(_source(record.job), record.name)
            self._move_marker_out(record, name)
        self.drop(record)
        return name

    def drop(self, record: Record) -> None:
        """Remove what is remembered of the job, the record last. The source is not touched.

        Durable on return, unless the job is over: until the next claim or fsync here, a power cut may bring its record
        back, which finds its outcome in the ledger and is dropped once more.
        """
        with host_errors(self._inbox.root, "cannot remove a record in the inbox"):
            if record.state in _RELEASABLE and not self._present(_source(record.job)):
                self._move_marker_out(record, record.name)
            self._remove(record.job + MARKER)
            self._runs.forget(record.job)
            self._records.remove(record.job)
            if record.state not in FINAL:
                os.fsync(self._private)

    # -- after a crash ------------------------------------------------------------------------------------------

    def orphans(self) -> list[Orphan]:
        """Every claim that is there, oldest first, after clearing away half-made things.

        Call it once the inbox is open, before anything is taken: a claim whose running mark is set counts one more
        interruption each time. Sources without a readable record go back to the inbox (:attr:`recovered`).
        """
        with host_errors(self._inbox.root, "cannot read the claims of the inbox"):
            names = set(os.listdir(self._private))
            for name in names:
                if name.startswith((STAGING_PREFIX, "probe-")):
                    self._remove(name)
            records = {job: self._records.read(job) for job in _stems(names, ".json")}
            readable = {job: record for job, record in records.items() if record is not None}
            self.recovered = tuple(self._recover(job) for job in _stems(names, ".src") if job not in readable)
            for name in names:
                stem, dot, kind = name.rpartition(".")
                if dot and kind in ("json", "run", "done") and stem not in readable:
                    self._remove(name)
            os.fsync(self._private)
            found = [self._orphan(record) for record in readable.values()]
        return sorted(found, key=lambda orphan: (orphan.record.claimed_at, orphan.record.job))

    def _orphan(self, record: Record) -> Orphan:
        present = self._present(_source(record.job))
        if present:
            self._unlink_twin(record)
        if self._markers and present and record.state is State.CLAIMING:
            self._move_marker_in(record)
        return Orphan(record, present, self._runs.interruptions(record.job))

    def _unlink_twin(self, record: Record) -> None:
        """Finish a rename by link and unlink: a name in the inbox that is still the claimed file is not another one."""
        mine = os.stat(_source(record.job), dir_fd=self._private, follow_symlinks=False)
        if mine.st_nlink == 1:
            return
        parent, _, base = record.name.rpartition("/")
        gone = contextlib.suppress(FileNotFoundError, NotADirectoryError)
        with gone, open_beneath(self._inbox.root_fd, parent) as parent_fd:
            name, number = base, 0
            while True:
                found = os.stat(name, dir_fd=parent_fd, follow_symlinks=False)
                if (found.st_dev, found.st_ino) == (mine.st_dev, mine.st_ino):
                    os.unlink(name, dir_fd=parent_fd)
                    os.fsync(parent_fd)
                    return
                number += 1
                name = numbered(base, number)

    def _recover(self, job: str) -> str:
        return self._move_out(_source(job), f"recovered-{job}")

    # -- inside -------------------------------------------------------------------------------------------------

    def _move_in(self, record: Record) -> None:
        parent, _, base = record.name.rpartition("/")
        path = self._inbox.root / record.name
        target = _source(record.job)
        with host_errors(path, "cannot claim"):
            try:
                with open_beneath(self._inbox.root_fd, parent) as parent_fd:
                    self._compare(record, base, parent_fd)
                    rename_exclusive(base, target, source_fd=parent_fd, target_fd=self._private)
                    self._prove(record)
                    os.fsync(parent_fd)
                    os.fsync(self._private)
            except OSError as error:
                if self._present(target):
                    raise
                if error.errno in _GONE:
                    raise TransientError("source_vanished", f"{record.name!r} is gone") from error
                if error.errno == errno.EXDEV:
                    raise on_another_mount(str(path)) from error
                if error.errno in _NOT_ALLOWED:
                    raise protected(str(path), record.snapshot.owner) from error
                raise

    def _compare(self, record: Record, base: str, dir_fd: int) -> None:
        found = snapshot_of(record.name, os.stat(base, dir_fd=dir_fd, follow_symlinks=False))
        if not found.same_content(record.snapshot):
            raise TransientError("source_changed", f"{record.name!r} is not what it was when it was looked at")

    def _prove(self, record: Record) -> None:
        """Compare what was renamed with what was recorded; somebody may have replaced it in between."""
        try:
            self._compare(record, _source(record.job), self._private)
        except TransientError:
            self._move_out(_source(record.job), record.name)
            raise

    def _move_out(self, source: str, name: str) -> str:
        """Rename ``source`` in the private folder to ``name`` in the inbox, or to the first free number of it."""
        parent, _, base = name.rpartition("/")
        with open_beneath(self._inbox.root_fd, parent, make_mode=_FOLDER_MODE) as parent_fd:
            chosen, number = base, 0
            while True:
                try:
                    rename_exclusive(source, chosen, source_fd=self._private, target_fd=parent_fd)
                    break
                except FileExistsError:
                    number += 1
                    chosen = numbered(base, number)
            os.fsync(parent_fd)
            os.fsync(self._private)
        return f"{parent}/{chosen}" if parent else chosen

    def _move_marker_in(self, record: Record) -> None:
        parent, _, base = record.name.rpartition("/")
        with host_errors(self._inbox.root / record.name, "cannot claim the marker of"):
            with (
                contextlib.suppress(FileNotFoundError, FileExistsError),
                open_beneath(self._inbox.root_fd, parent) as parent_fd,
            ):
                marker = record.job + MARKER
                rename_exclusive(base + MARKER, marker, source_fd=parent_fd, target_fd=self._private)
                os.fsync(parent_fd)
            os.fsync(self._private)

    def _move_marker_out(self, record: Record, name: str) -> None:
        """Give the marker back beside its file; one that is there already serves as well."""
        marker = record.job + MARKER
        if not self._present(marker):
            return
        parent, _, base = name.rpartition("/")
        try:
            with open_beneath(self._inbox.root_fd, parent) as parent_fd:
                rename_exclusive(marker, base + MARKER, source_fd=self._private, target_fd=parent_fd)
        except OSError as error:
            if error.errno not in _GONE and not isinstance(error, FileExistsError):
                raise

    def _present(self, name: str) -> bool:
        with contextlib.suppress(FileNotFoundError):
            os.stat(name, dir_fd=self._private, follow_symlinks=False)
            return True
        return False

    def _remove(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._private)


def _source(job: str) -> str:
    return f"{job}.src"


def _stems(names: set[str], suffix: str) -> list[str]:
    return sorted(name.removesuffix(suffix) for name in names if name.endswith(suffix))

"""Custody: every step that moves a file of one hot folder, in the order that survives a crash.

Synchronous; called in the folder's own threads. The steps of a job come one after another (but for ``fingerprint``,
which only reads), those of several jobs may meet; ``recover``, ``sweep`` and ``close_accounts`` are called while no job
is under way. The ledger's intent is durable before a source moves, the outcome is
written after. What is found after a crash at each point, and what :meth:`Custody.recover` does about it:

====================================  ===========================================  =====================================
crash                                 what is found                                what recovery does
====================================  ===========================================  =====================================
before the record                     the source in the inbox                      nothing; it is seen again
record written, source not moved      record ``claiming``, source in the inbox     drops the record; it is seen again
source moved                          record ``claiming``, claim                   runs the job (last and alone if a
                                                                                   worker had begun on it)
between two attempts                  record ``waiting`` with its attempts, claim  runs the job, the attempts count
result staged                         hidden file beside its place, claim          sweeps it, runs the job
placement recorded, not renamed       record ``delivering``, sealed staged file    renames it
renamed, not recorded                 record ``delivering``, own result found      goes on to the archive
a consumer took the result then       record ``delivering``, neither               runs the job once more (documented)
archive recorded                      record ``archiving``, claim or archived      moves what is not moved yet
source moved, outcome not written     record ``archiving``, source archived        writes the outcome, once
outcome written, record there         record ``archiving``, outcome in the ledger  removes the record
in quarantine                         record ``quarantining``                      repeats, recognises what was done
====================================  ===========================================  =====================================
"""

from __future__ import annotations

import contextlib
import uuid
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from srwatchd.delivery import Claim, Destination, archive, delete_source, deliver, quarantine, sidecar_data
from srwatchd.errors import HostError, PermanentError, TransientError
from srwatchd.intake.look import Lease, NotAPlainFileError, look
from srwatchd.intake.owners import owner_name
from srwatchd.job import Attempt, Event, Failure, Record, State
from srwatchd.pipeline.accounts import Accounts
from srwatchd.pipeline.pen import Pen

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from srwatchd.audit import Ledger
    from srwatchd.config import Folder
    from srwatchd.delivery import Staged
    from srwatchd.intake.attribution import Attribution
    from srwatchd.intake.claims import Claims
    from srwatchd.intake.inbox import Inbox
    from srwatchd.job import Placement, Snapshot

__all__ = ["Custody"]


class Custody:
    """The one place that moves the pictures of one hot folder.

    ``finished`` are the jobs that have an outcome in the ledger already; ``clock`` gives the time as RFC 3339, UTC;
    ``lease`` says whether read leases mean anything on the inbox's mount; ``attribution`` who dropped a picture.
    """

    def __init__(
        self,
        folder: Folder,
        inbox: Inbox,
        claims: Claims,
        *,
        attribution: Attribution,
        ledger: Ledger,
        clock: Callable[[], str],
        lease: bool,
        finished: set[str],
    ) -> None:
        self.folder = folder
        self.now = clock
        self._inbox = inbox
        self._claims = claims
        self._attribution = attribution
        self._accounts = Accounts(folder, ledger, finished)
        self._lease = lease
        output = folder.output
        self.done, self.error, self.archive = (
            Destination(root, file_mode=output.file_mode, dir_mode=output.dir_mode, group=output.group)
            for root in (folder.done, folder.error, folder.archive)
        )

    # -- taking and giving back ----------------------------------------------------------------------------------

    def claim(self, snapshot: Snapshot, *, busy: bool = False) -> Record:
        """Take the source out of the inbox after one more look at it; with ``busy`` though a writer has it open.

        Raises TransientError ``source_changed``, ``source_busy`` or ``source_vanished`` (it stays, or is put back,
        where it was) and HostError (nothing has moved).
        """
        lease = self._lease and not busy
        self._unchanged(snapshot, lambda: look(self._inbox, snapshot.name, lease=lease))
        record, facts = self._begun(snapshot)
        self._accounts.begin(record, "job.claimed", "unknown", facts)
        try:
            self._claims.take(record)
        except (TransientError, HostError) as error:
            if isinstance(error, TransientError) or error.code == "source_unmovable":  # else it may still be ours
                self._accounts.close(record, "job.released", "failure", reason=error.message)
            raise
        self._attribution.taken(snapshot)
        record = record.after(Event.CLAIM)
        try:
            self._unchanged(snapshot, lambda: self._claims.look(record, lease=lease))
        except TransientError as error:
            self.release(record, error.code)
            raise
        return record

    def begin(self, record: Record) -> None:
        """Mark that a worker is about to see this source, so that a death of the supervisor counts against it."""
        self._claims.mark_running(record)

    def end(self, record: Record) -> None:
        """Take back the mark of :meth:`begin`."""
        self._claims.clear_running(record)

    def open_source(self, record: Record) -> int:
        """A descriptor of the claimed source."""
        return self._claims.source_fd(record)

    def fingerprint(self, record: Record) -> Record:
        """The record with the source's sha256."""
        if record.source_sha256:
            return record
        placement = self._claim(record).placement(record.name)
        if placement is None:
            raise TransientError("source_vanished", f"the claimed source of {record.name!r} is gone")
        return replace(record, source_sha256=placement.sha256)

    def release(self, record: Record, reason: str) -> Record:
        """Give the source back to the inbox as it came."""
        released = record.after(Event.RELEASE)
        self._attribution.given_back(record)
        name = self._claims.release(record)
        self._accounts.close(released, "job.released", "success", {"srwatchd.detail.released_as": name}, reason=reason)
        self._accounts.forget(record.job)
        return released

    def note(self, record: Record, attempt: Attempt) -> Record:
        """Remember a failed attempt."""
        noted = replace(record, attempts=(*record.attempts, attempt))
        self._claims.save(noted)
        fields = {
            "error.code": attempt.code,
            "error.message": attempt.message,
            "srwatchd.attempt.count": len(noted.attempts),
            "srwatchd.attempt.limit": self.folder.retry.max_attempts,
            "srwatchd.engine.name": attempt.engine or None,
        }
        self._accounts.write(noted, ("job.attempt_failed", "failure", fields))
        return noted

    def fail(self, record: Record, attempt: Attempt) -> Record:
        """Remember a failed attempt after which another one follows."""
        noted = self.note(record, attempt)
        waiting = noted.after(Event.FAIL)
        self._claims.save(waiting)
        self._claims.clear_running(waiting)
        return waiting

    # -- the two ends --------------------------------------------------------------------------------------------

    def stage(self, record: Record, path: str) -> Staged:
        """An empty hidden file beside where the result ``path`` (relative to done) will be."""
        parent, _, _ = path.rpartition("/")
        return self.done.stage(parent, record.job)

    def discard(self, staged: Staged) -> None:
        """Remove what was staged unless it was placed."""
        staged.discard()

    def finish(self, record: Record, staged: Staged, path: str, facts: Mapping[str, Any]) -> Record:
        """Deliver the verified result, archive (or delete) the source, write the outcome, forget the record."""
        self._unchanged(record.snapshot, lambda: self._claims.look(record, lease=self._lease))
        staged.seal()
        where = {"srwatchd.result.path": str(self.done.root / path)}
        self._accounts.write(record, ("job.delivering", "unknown", where))
        delivering = self._deliver(record.after(Event.DELIVER, facts=dict(facts)), staged, path)
        return self._put_away(delivering.after(Event.ARCHIVE))

    def quarantine(self, record: Record, failure: Failure) -> Record:
        """Move the source to the error folder with its reason beside it."""
        return self._quarantine(record.after(Event.QUARANTINE, failure=failure))

    # -- after a crash, or after a hold --------------------------------------------------------------------------

    def recover(self, record: Record, *, present: bool) -> Record:
        """Go on from what lies on the disk; ``present``: the claimed source is there.

        Returns the record: ``claimed`` when the job is to be run (again), in a final state when it is over.
        """
        self._accounts.begin(record, "job.recovered", "success", {"srwatchd.state": record.state.value})
        if record.state is State.DELIVERING:
            delivered = self._delivered(record)
            if delivered is not None:
                return delivered
            record = record.after(Event.REDO, result=None)
        if record.state is State.ARCHIVING:
            return self._put_away(record)
        if record.state is State.QUARANTINING:
            return self._quarantine(record)
        if not present:
            never = record.state is State.CLAIMING
            reason = "it was never moved out of the inbox" if never else "the claimed source is gone"
            self._accounts.close(record, "job.released", "success" if never else "failure", reason=reason)
            self._forget(record)
            return record.after(Event.RELEASE)
        return replace(record, state=State.CLAIMED)

    def _delivered(self, record: Record) -> Record | None:
        """What became of a result that was about to be delivered; None when there is nothing of it any more."""
        result = record.result
        if result is None:
            return None
        if self.done.find(result):
            return self._put_away(record.after(Event.ARCHIVE))
        staged = self.done.reopen(result, record.job)
        if staged is None:
            return None
        try:
            with staged:
                delivering = self._deliver(record, staged, result.name)
        except PermanentError as error:
            failure = Failure(error.code, error.message, error.hint)
            return self._quarantine(record.after(Event.REDO, result=None).after(Event.QUARANTINE, failure=failure))
        return self._put_away(delivering.after(Event.ARCHIVE))

    def close_accounts(self, live: Collection[str]) -> None:
        """Write the outcome of jobs that are over although an error of the host kept it from being written."""
        for record in self._accounts.owing(live):
            reason = "the host failed while nothing was ours any more"
            self._accounts.close(record, "job.released", "unknown", reason=reason)
            self._accounts.forget(record.job)

    def sweep(self, live: set[str]) -> None:
        """Remove staged files of jobs that are not in ``live``."""
        for destination in {
            self.done.root: self.done,
            self.error.root: self.error,
            self.archive.root: self.archive,
        }.values():
            with contextlib.suppress(HostError):
                destination.sweep(live)

    # -- inside --------------------------------------------------------------------------------------------------

    def _deliver(self, record: Record, staged: Staged, path: str) -> Record:
        pen = Pen(record, self._claims)
        try:
            deliver(staged, path, record=pen.result, numbering=self.folder.output.on_conflict == "rename")
        except FileExistsError:
            raise PermanentError("name_taken", f"{path!r} exists in the done folder already") from None
        return pen.record

    def _put_away(self, record: Record) -> Record:
        pen = Pen(record, self._claims)
        result = record.result
        assert result is not None  # noqa: S101 - a job that archives has delivered
        delivered = {
            "srwatchd.result.path": str(self.done.root / result.name),
            "srwatchd.result.sha256": result.sha256,
            "srwatchd.result.size": result.size,
        }
        if not self._accounts.closed(record):
            self._accounts.write(record, ("job.delivered", "success", delivered), ("job.archiving", "unknown", {}))
        where: dict[str, Any] = {}
        if self.folder.on_success == "delete":
            self._claims.save(record)
            delete_source(self._claim(record))
        else:
            move = partial(
                archive, destination=self.archive, name=record.name, record=pen.source, planned=record.source
            )
            placed = self._moved(record, move)
            where = {"srwatchd.archive.path": str(self.archive.root / placed.name) if placed else None}
        final = pen.record.after(Event.FINISH)
        self._accounts.close(final, "job.completed", "success", {**delivered, **where, **record.facts})
        self._forget(final)
        return final

    def _quarantine(self, record: Record) -> Record:
        pen = Pen(record, self._claims)
        failure = record.failure
        assert failure is not None  # noqa: S101 - a job is quarantined for a reason
        why = {"error.code": failure.code, "error.message": failure.message}
        if record.source is None:
            self._claims.save(record)
            self._accounts.write(record, ("job.quarantining", "unknown", why))
        move = partial(
            quarantine,
            destination=self.error,
            name=record.name,
            data=sidecar_data(record, now=self.now()),
            record=pen.source,
            planned=record.source,
        )
        placed = self._moved(record, move)
        final = pen.record.after(Event.FINISH)
        where = {"srwatchd.error.path": str(self.error.root / placed.name) if placed else None}
        self._accounts.close(final, "job.quarantined", "failure", {**why, "srwatchd.hint": failure.hint, **where})
        self._forget(final)
        return final

    def _moved(self, record: Record, move: Callable[[Claim], Placement | None]) -> Placement | None:
        """Move the source to its end; one that was written to after it had been read is kept as it is now."""
        try:
            return move(self._claim(record))
        except TransientError:
            try:
                return move(replace(self._claim(record), sha256=""))
            except TransientError as error:
                raise HostError("io_error", error.message, path=str(self.folder.inbox / record.name)) from error

    def _unchanged(self, snapshot: Snapshot, look_again: Callable[[], Any]) -> None:
        try:
            seen = look_again()
        except (FileNotFoundError, NotAPlainFileError):
            raise TransientError("source_vanished", f"{snapshot.name!r} is gone from the inbox") from None
        if not snapshot.same_content(seen.snapshot):
            raise TransientError("source_changed", f"{snapshot.name!r} was written to meanwhile")
        if seen.lease is Lease.BUSY:
            raise TransientError("source_busy", f"{snapshot.name!r} is open for writing")

    def _claim(self, record: Record) -> Claim:
        return Claim(
            dir_fd=self._inbox.private_fd,
            name=f"{record.job}.src",
            job=record.job,
            sha256=record.source_sha256,
            place=str(Path(self._inbox.root) / record.name),
        )

    def _begun(self, snapshot: Snapshot) -> tuple[Record, dict[str, Any]]:
        """A new job's record, and what the ledger's first line of it says besides."""
        who = self._attribution.of(snapshot)
        job, now = uuid.uuid4().hex, self.now()
        record = Record(job, self.folder.id, snapshot, now, address=who.address, user=who.user, origin=who.known)
        owner = {"file.uid": str(snapshot.owner), "file.owner": owner_name(snapshot.owner)}
        return record, {"file.inode": str(snapshot.inode), **owner, "user.id": who.uid or None}

    def _forget(self, record: Record) -> None:
        """Remove the record; nothing can be repeated after that."""
        self._claims.drop(record)
        self._accounts.forget(record.job)

"""What the ledger is told of the jobs of one hot folder: every step, and one outcome each, whatever is repeated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from srwatchd.audit import Entry

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from srwatchd.audit import Ledger, Outcome
    from srwatchd.config import Folder
    from srwatchd.job import Record

__all__ = ["Accounts"]


class Accounts:
    """Synchronous; every line is durable on return. ``finished`` are the jobs whose outcome is written already.

    Raises HostError when the ledger cannot be written.
    """

    def __init__(self, folder: Folder, ledger: Ledger, finished: set[str]) -> None:
        self._folder = folder
        self._ledger = ledger
        self._finished = finished
        self._open: dict[str, Record] = {}

    def begin(self, record: Record, action: str, outcome: Outcome, fields: Mapping[str, Any]) -> None:
        """Write the first line of a job, from which on it owes an outcome."""
        self.write(record, (action, outcome, fields))
        self._open[record.job] = record

    def write(self, record: Record, *lines: tuple[str, Outcome, Mapping[str, Any]]) -> None:
        """Write lines of action, outcome and fields, together."""
        self._ledger.append([self._entry(record, action, outcome, fields) for action, outcome, fields in lines])

    def close(
        self,
        record: Record,
        action: str,
        outcome: Outcome,
        fields: Mapping[str, Any] | None = None,
        *,
        reason: str = "",
    ) -> None:
        """Write a job's outcome, once, whatever is repeated."""
        if not self.closed(record):
            self._ledger.append([self._entry(record, action, outcome, fields or {}, reason=reason)])
            self._finished.add(record.job)
        self._open.pop(record.job, None)

    def closed(self, record: Record) -> bool:
        """Whether the job's outcome is written."""
        return record.job in self._finished

    def forget(self, job: str) -> None:
        """Nothing of the job can be repeated any more: its record is gone."""
        self._finished.discard(job)

    def owing(self, live: Collection[str]) -> Iterable[Record]:
        """The jobs that were begun and have no outcome, other than ``live``."""
        return [record for job, record in list(self._open.items()) if job not in live]

    def _entry(
        self, record: Record, action: str, outcome: Outcome, fields: Mapping[str, Any], *, reason: str = ""
    ) -> Entry:
        base = {
            "file.path": str(self._folder.inbox / record.name),
            "file.size": record.snapshot.size,
            "file.hash.sha256": record.source_sha256 or None,
            "srwatchd.folder": self._folder.id,
            "source.ip": record.address or None,
            "srwatchd.origin": record.origin or None,
            "user.name": record.user or None,
        }
        return Entry(action, outcome, job=record.job, fields={**base, **fields}, reason=reason)
